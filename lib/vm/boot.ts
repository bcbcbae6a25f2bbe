/** Boots one machine with one task, and says what became of it. */
import { mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { countVerdicts } from '../harness/results.ts'
import { answerOf, nothing, stuckIn } from './answer.ts'
import { linesOf, tellingLines, withoutMiddle } from './console.ts'
import type { FoundEmulator } from './emulators/emulator.ts'
import type { Task } from './guest/task.ts'
import type { Slot } from './initramfs/image.ts'
import { commandLine, jobOf } from './job.ts'
import type { Acceleration, MachineCpu, MachineKernel, MachineResult } from './machine.ts'
import { channelLines, saidIn } from './said.ts'
import { type Told, tellStatus } from './status.ts'
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
}

/** Seconds without a word of PID 1, which says one a second. A loaded host can be slow; a kernel that is gone is for ever. */
const silence = 60
/** Seconds from the start to PID 1. */
const bootSeconds = 180
/** PID 1 counts the machine's time, which an interpreter on a busy host makes several times longer. */
const slowness: Readonly<Record<FoundEmulator['name'], number>> = { qemu: 1, bochs: 4 }

/** Two, so that PID 1 lives on where the kernel does not come back from a task. */
const cpuCount: Readonly<Record<FoundEmulator['name'], number>> = { qemu: 2, bochs: 1 }

/** Called with what a machine is at. */
export type OnState = (state: string) => void

const stateIn = (line: string): string | null => {
  if (line.startsWith('boot ')) return 'booted'
  const found = /^case (\d+) (.*)/.exec(line)
  return found === null ? null : `${found[1]} cases, ${found[2]}`
}

/** Bytes without which an emulator could not have written all that its machine said. */
const leastRoom = 1 << 20

const diskIsFull = async (folder: string): Promise<boolean> => {
  const { blocks, bavail, bsize } = await statfs(folder)
  // A tmpfs without a limit says 0 of everything.
  return blocks > 0 && bavail * bsize < leastRoom
}

/** What a machine says is lost where it cannot be written: only one that says all is believed. */
const fullDisk = (folder: string, told: Told): Told =>
  told.status === 'ran'
    ? told
    : { ...told, status: 'refused', reason: `the disk of ${folder} is full: name another folder in TMPDIR` }

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
        commandLine: commandLine(setting),
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
    const seen = { watched, console, said, limits, invalid, stuckCase: stuckIn(bundle) }
    const told = (await diskIsFull(folder)) ? fullDisk(folder, tellStatus(seen)) : tellStatus(seen)
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
 * again. A kernel that does so always is told as what it is, and one that did so once is shown to have.
 */
const diedBooting = ({ status, phase, emulator }: Omit<MachineResult, 'attempts'>): boolean =>
  phase === 'boot' && (status === 'oops' || status === 'panic') && emulator?.acceleration === 'tcg'

/** @throws where the host fails: a full disk, an emulator that cannot be prepared */
export const bootMachine = async (
  machine: Machine,
  task: Task,
  setting: Setting,
  onState: OnState,
): Promise<MachineResult> => {
  const deaths: string[] = []
  for (let attempts = 1; ; attempts++) {
    const result = await bootOnce(
      { ...machine, folder: join(machine.folder, String(attempts)) },
      task,
      setting,
      onState,
    )
    if (!diedBooting(result) || attempts === mostAttempts || setting.signal.aborted)
      return { ...result, attempts, warnings: [...deaths, ...result.warnings] }
    deaths.push(`boot ${attempts} ended before PID 1: ${result.reason}`)
  }
}

/** Whether a machine is worth asking again. */
export const ranWhole = ({ status, bundle }: MachineResult): boolean =>
  status === 'ran' && bundle !== null && countVerdicts(bundle.cases).stuck === 0
