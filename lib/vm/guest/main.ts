/** Runs inside a machine: does the task that the initramfs brought, and sends the answer to the host. */
import { readFileSync, writeSync } from 'node:fs'
import { captureFrames } from '../../foreign/capture.ts'
import { replayFrames } from '../../foreign/replay.ts'
import { type RunOptions, runSelftests } from '../../harness/run.ts'
import { open } from '../../probe/session.ts'
import { answerLine } from './channel.ts'
import type { Answer, ReplayTask, RunTask, Task } from './task.ts'

const channel = 3

const send = (line: string): void => {
  const bytes = Buffer.from(line)
  for (let done = 0; done < bytes.length; ) done += writeSync(channel, bytes, done)
}

/** Each case before it runs: what a kernel does not survive is the last one told. */
const reporter = (): NonNullable<RunOptions['onStart']> => {
  let count = 0
  return id => {
    count += 1
    send(`case ${count} ${id}\n`)
  }
}

const run = async ({ capture, select, require, baseline, long }: RunTask): Promise<Answer> => {
  const bundle = await runSelftests({ select, require, baseline, long, onStart: reporter() })
  if (!capture) return { bundle, frames: [], replayed: [] }
  const probe = await open()
  try {
    return { bundle, frames: captureFrames(probe), replayed: [] }
  } finally {
    await probe.close()
  }
}

const replay = async ({ jobs, generation }: ReplayTask): Promise<Answer> => {
  const probe = await open()
  try {
    return { bundle: null, frames: [], replayed: replayFrames(probe, jobs, generation) }
  } finally {
    await probe.close()
  }
}

const [, , file = '/task.json'] = process.argv
try {
  const task = JSON.parse(readFileSync(file, 'utf8')) as Task
  send(answerLine(task.kind === 'run' ? await run(task) : await replay(task)))
} catch (error) {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error))
  send(`failed ${name}: ${message.replaceAll('\n', ' ')}\n`)
  // On the console: for who looks into it.
  process.stderr.write(`${stack}\n`)
  process.exitCode = 70
}
