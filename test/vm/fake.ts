/** Emulators for tests: a shell script stands for the machine, and writes what its two serial ports would have carried. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Bundle } from '../../lib/harness/results.ts'
import type { FoundEmulator, Launch, MachineSpec } from '../../lib/vm/emulators/emulator.ts'
import { answerLine } from '../../lib/vm/guest/channel.ts'
import type { Answer, Task } from '../../lib/vm/guest/task.ts'
import type { Entry } from '../../lib/vm/initramfs/newc.ts'
import type { MachineCpu, MachineKernel } from '../../lib/vm/machine.ts'
import { bundle, host, kernel, result } from '../report/stub.ts'

/** A bundle that a machine might have sent. */
export const sampleBundle = (): Bundle =>
  bundle([result('pass'), result('skip', { selftest: 'xsave_header', case: 'other' })], {
    host: host(),
    kernel: kernel('classic'),
  })

export const answerOf = (changes: Partial<Answer> = {}): Answer => ({
  bundle: null,
  frames: [],
  replayed: [],
  ...changes,
})

export const fakeKernel = (name: string): MachineKernel => ({ name, path: `/kernels/${name}`, release: null })

export const fakeCpu = (name: string): MachineCpu => ({ name, emulator: 'qemu', model: name })

/**
 * In a script: `console TEXT` and `data TEXT` write a line to a port, `answer` sends the answer, `boots` is what every
 * machine says that comes to its run; $ATTEMPT counts the boots of one machine from 1.
 */
const words = `
console() { printf '%s\\n' "$*" >> "$CONSOLE"; }
data() { printf '%s\\n' "$*" >> "$DATA"; }
answer() { cat "$ANSWER" >> "$DATA"; }
boots() { console '[    0.500000] mtrr: your CPUs had inconsistent settings'; data 'boot 1 6.99.1-fake'; data 'start 61'; }
: > "$CONSOLE"
: > "$DATA"
`

export interface Boot {
  readonly spec: MachineSpec
  /** Whole seconds of nothing: the process and when it ran are in here. */
  readonly pidFile: string
}

export interface FakeEmulator extends FoundEmulator {
  /** In the order in which they began. */
  readonly boots: readonly Boot[]
}

export const launchOf = (folder: string, script: string, env: Record<string, string> = {}): Launch => {
  const files = { console: join(folder, 'console.log'), data: join(folder, 'data.log') }
  return {
    command: 'sh',
    args: ['-c', `echo $$ > "${join(folder, 'pid')}"\n${words}${script}`],
    env: { CONSOLE: files.console, DATA: files.data, ...env },
    ...files,
  }
}

/** @param scriptOf what the machine does, and what it answers; a throw is that of an emulator that cannot be prepared */
export const fakeEmulator = (
  scriptOf: (spec: MachineSpec, boot: number) => { readonly script: string; readonly answer?: Answer },
): FakeEmulator => {
  const boots: Boot[] = []
  return {
    name: 'qemu',
    version: '9.9.9',
    boots,
    prepare: async spec => {
      boots.push({ spec, pidFile: join(spec.folder, 'pid') })
      const { script, answer = answerOf({ bundle: sampleBundle() }) } = scriptOf(spec, boots.length)
      const file = join(spec.folder, 'answer')
      writeFileSync(file, answerLine(answer))
      return launchOf(spec.folder, script, { ANSWER: file })
    },
  }
}

/** Whether a process is there that is no zombie. */
export const isAlive = (pid: number): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

export const pidIn = (file: string): number | undefined => {
  const pid = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
  return pid > 0 ? pid : undefined
}

/** The task that a machine's entries bring. */
export const taskIn = (entries: readonly Entry[]): Task => {
  const found = entries.find(({ name }) => name === 'task.json')
  if (found?.kind !== 'file') throw new Error('no task.json')
  return JSON.parse(Buffer.from(found.bytes).toString()) as Task
}
