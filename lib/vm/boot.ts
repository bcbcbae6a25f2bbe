/** Boots one machine with one task, and says what became of it. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkRecord } from '../errors.ts'
import { countVerdicts } from '../harness/results.ts'
import { parseBundle } from '../report/bundle.ts'
import { linesOf, tellingLines, withoutMiddle } from './console.ts'
import type { FoundEmulator } from './emulators/emulator.ts'
import type { Answer, Task } from './guest/task.ts'
import { inMachine } from './initramfs/contents.ts'
import type { Slot } from './initramfs/image.ts'
import type { Entry } from './initramfs/newc.ts'
import type { Acceleration, MachineCpu, MachineKernel, MachineResult } from './machine.ts'
import { checkCapturedFrames, checkReplayedFrames } from './pairs/check.ts'
import { channelLines, saidIn } from './said.ts'
import { tellStatus } from './status.ts'
import { splatsOn, withBootComplaints } from './warnings.ts'
import { type Limits, watchMachine } from './watch.ts'

/** What all machines of an invocation have. */
export interface Setting {
  readonly acceleration: Acceleration
  /** Why, in one line; empty where it was asked for. */
  readonly whyAcceleration: string
  readonly memoryMib: number
  /** Seconds for the run in a machine. */
  readonly seconds: number
  /** More of the kernel's command line. */
  readonly append: string
  readonly signal: AbortSignal
}

export interface Machine {
  readonly kernel: MachineKernel
  readonly cpu: MachineCpu
  readonly emulator: FoundEmulator
  readonly slot: Slot
  /** Of this boot alone. */
  readonly folder: string
  /** What the emulator's CPU needs of the command line. */
  readonly append: string
}

/** Seconds without a word of PID 1, which says one a second. A loaded host can be slow; a kernel that is gone is for ever. */
const silence = 60
/** Seconds from the start to PID 1. */
const bootSeconds = 180
/** Seconds without a word of the run, which tells of each case: above its own limits for one. */
const quietSeconds = 45
/** Cases that take long say nothing meanwhile. */
const quietSecondsLong = 900

/** PID 1 counts the machine's time, which an interpreter on a busy host makes several times longer. */
const slowness: Readonly<Record<FoundEmulator['name'], number>> = { qemu: 1, bochs: 4 }

/** Two, so that PID 1 lives on where the kernel does not come back from a task. */
const cpuCount: Readonly<Record<FoundEmulator['name'], number>> = { qemu: 2, bochs: 1 }

/**
 * `loglevel=5`: warnings are printed; first, because earlyprintk prints at once. `oops=panic`, `panic=-1`: the machine ends. A busy host holds a machine up
 * for seconds: only what lasts longer is a lockup or a stall.
 */
const commandLine = ({ append }: Setting, machine: Machine): string =>
  [
    'loglevel=5 console=ttyS0 earlyprintk=serial,ttyS0,115200 oops=panic panic=-1',
    'watchdog_thresh=60 rcupdate.rcu_cpu_stall_timeout=120',
    machine.append,
    append,
  ]
    .filter(text => text !== '')
    .join(' ')

/**
 * Where instructions are emulated, compiling what then runs for a second costs more than it saves: a third of the whole
 * (docs/validating-a-kernel.md).
 */
const nodeOptions: Readonly<Record<Acceleration, readonly string[]>> = {
  kvm: [],
  tcg: ['--no-opt', '--single-threaded-gc'],
  interpreter: ['--no-opt', '--single-threaded-gc'],
}

/** The files of PID 1's job: native/init/job.h. */
const jobOf = (task: Task, { seconds, acceleration }: Setting): readonly Entry[] => {
  const quiet = task.kind === 'run' && task.long ? quietSecondsLong : quietSeconds
  const lines = [
    `seconds ${seconds}`,
    `quiet ${quiet}`,
    `arg ${inMachine.node}`,
    ...nodeOptions[acceleration].map(option => `arg ${option}`),
    `arg ${inMachine.guest}`,
    `arg ${inMachine.task}`,
    'env PATH=/usr/bin:/bin',
    'env HOME=/root',
    'env LD_LIBRARY_PATH=/lib',
    `cwd ${inMachine.package}`,
  ]
  const file = (name: string, text: string): Entry => ({
    kind: 'file',
    name: name.slice(1),
    executable: false,
    bytes: Buffer.from(text),
  })
  return [file(inMachine.job, `${lines.join('\n')}\n`), file(inMachine.task, JSON.stringify(task))]
}

const nothing: Answer = { bundle: null, frames: [], replayed: [] }

/** What a machine sends is checked as if it came from a file: its kernel may have garbled it. */
const checkedAnswer = async (text: string): Promise<Answer> => {
  const { bundle, frames, replayed } = checkRecord('the answer', JSON.parse(text))
  return {
    bundle: bundle === null ? null : await parseBundle(JSON.stringify(bundle), 'the answer'),
    frames: checkCapturedFrames(frames),
    replayed: checkReplayedFrames(replayed),
  }
}

/** The answer, nothing where there is none, or what is wrong with it. */
const answerOf = async (text: string | null): Promise<Answer | { readonly problem: string }> => {
  if (text === null) return nothing
  try {
    return await checkedAnswer(text)
  } catch (error) {
    return { problem: (error as Error).message }
  }
}

const stuckIn = (bundle: Answer['bundle']): string | null => {
  const found = bundle?.cases.find(({ verdict }) => verdict === 'stuck')
  return found === undefined ? null : `${found.id}: ${found.observed}`
}

/** Called with what a machine is at. */
export type OnState = (state: string) => void

const stateIn = (line: string): string | null => {
  if (line.startsWith('boot ')) return 'booted'
  const found = /^case (\d+) (.*)/.exec(line)
  return found === null ? null : `${found[1]} cases, ${found[2]}`
}

const bootOnce = async (
  machine: Machine,
  task: Task,
  setting: Setting,
  onState: OnState,
): Promise<Omit<MachineResult, 'attempts'>> => {
  const { kernel, cpu, emulator, slot, folder } = machine
  const slow = slowness[emulator.name]
  const limits: Limits = {
    bootSeconds: slow * bootSeconds,
    seconds: slow * setting.seconds,
    silence: slow * silence,
  }
  await mkdir(folder, { recursive: true })
  try {
    await slot.put(jobOf(task, setting))
    const launch = await emulator.prepare(
      {
        kernel: kernel.path,
        initramfs: slot.path,
        cpu: cpu.model,
        commandLine: commandLine(setting, machine),
        memoryMib: setting.memoryMib,
        cpus: cpuCount[emulator.name],
        acceleration: setting.acceleration,
        folder,
      },
      setting.signal,
    )
    const {
      console: text,
      data,
      ...watched
    } = await watchMachine(
      launch,
      limits,
      line => {
        const state = stateIn(line)
        if (state !== null) onState(state)
      },
      setting.signal,
    )
    const console = linesOf(withoutMiddle(text))
    const said = saidIn(channelLines(data, console))
    const answer = await answerOf(said.answer)
    const invalid = 'problem' in answer ? answer.problem : null
    const { bundle, frames, replayed } = 'problem' in answer ? nothing : answer
    const told = tellStatus({ watched, console, said, limits, invalid, stuckCase: stuckIn(bundle) })
    const splats = splatsOn(linesOf(withoutMiddle(text.slice(0, watched.consoleBefore ?? text.length))))
    return {
      kernel: { ...kernel, release: said.release ?? kernel.release },
      cpu,
      emulator: {
        version: emulator.version,
        acceleration: setting.acceleration,
        why: setting.whyAcceleration,
      },
      ...told,
      lacks: said.lacks,
      wants: said.wants,
      durationMs: Math.round(watched.durationMs),
      bootMs: watched.bootMs === null ? null : Math.round(watched.bootMs),
      console: told.status === 'ran' ? [] : tellingLines(console),
      warnings: splats.map(({ title }) => title),
      bundle: bundle === null ? null : withBootComplaints(bundle, splats),
      frames,
      replayed,
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const mostAttempts = 3

/**
 * An emulated CPU itself fails now and then while the kernel patches its code: a machine that dies before PID 1 is booted
 * again. A kernel that does so always is told as what it is.
 */
const diedBooting = ({ status, phase }: Omit<MachineResult, 'attempts'>): boolean =>
  phase === 'boot' && (status === 'oops' || status === 'panic')

/** @throws where the host fails: a full disk, an emulator that cannot be prepared */
export const bootMachine = async (
  machine: Machine,
  task: Task,
  setting: Setting,
  onState: OnState,
): Promise<MachineResult> => {
  for (let attempts = 1; ; attempts++) {
    const result = await bootOnce(
      { ...machine, folder: join(machine.folder, String(attempts)) },
      task,
      setting,
      onState,
    )
    if (!diedBooting(result) || attempts === mostAttempts || setting.signal.aborted)
      return { ...result, attempts }
  }
}

/** Whether a machine is worth asking again. */
export const ranWhole = ({ status, bundle }: MachineResult): boolean =>
  status === 'ran' && bundle !== null && countVerdicts(bundle.cases).stuck === 0
