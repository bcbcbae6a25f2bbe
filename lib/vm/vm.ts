/** The selftests on each kernel with each CPU, some machines at a time. */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { RunOptions } from '../harness/run.ts'
import { toolVersion } from '../version.ts'
import { findAcceleration } from './acceleration.ts'
import { bootMachine, type Machine, ranWhole, type Setting } from './boot.ts'
import type { EmulatorSearch, FoundEmulator } from './emulators/emulator.ts'
import type { Task } from './guest/task.ts'
import { buildImage } from './initramfs/image.ts'
import type { EmulatorName, MachineCpu, MachineKernel, MachineResult, VmReport } from './machine.ts'
import { type FrameSource, framesFor } from './pairs/jobs.ts'
import { inTemporaryFolder, makePlaces, nowhere, type Place } from './places.ts'
import { someAtATime } from './some-at-a-time.ts'

export type AccelerationChoice = 'auto' | 'kvm' | 'tcg'

export interface VmOptions extends Pick<RunOptions, 'select' | 'require' | 'baseline'> {
  readonly kernels: readonly MachineKernel[]
  readonly cpus: readonly MachineCpu[]
  readonly emulators: Readonly<Record<EmulatorName, EmulatorSearch>>
  readonly long: boolean
  readonly rule: string | null
  /** Whether each machine's frames are sent on all others. */
  readonly pairs: boolean
  /** Machines of former results, whose frames are sent on each machine, too. */
  readonly sources: readonly FrameSource[]
  /** Machines at a time; as many as there are CPUs if null. */
  readonly atOnce: number | null
  readonly acceleration: AccelerationChoice
  readonly memoryMib: number
  /** For one machine. */
  readonly seconds: number
  /** More of the kernel's command line. */
  readonly append: string
  readonly signal: AbortSignal
  readonly onProgress: (progress: VmProgress) => void
}

export interface VmProgress {
  /** Machines that are done, and all. */
  readonly done: number
  readonly all: number
  readonly kernel: string
  readonly cpu: string
  /** What that machine is at. */
  readonly state: string
}

interface Planned {
  readonly kernel: MachineKernel
  readonly cpu: MachineCpu
}

const plan = ({ kernels, cpus }: VmOptions): readonly Planned[] =>
  kernels.flatMap(kernel => cpus.map(cpu => ({ kernel, cpu })))

const without = (
  { kernel, cpu }: Planned,
  status: MachineResult['status'],
  reason: string,
): MachineResult => ({
  kernel,
  cpu,
  emulator: null,
  status,
  reason,
  phase: 'emulator',
  lacks: [],
  wants: [],
  attempts: 0,
  durationMs: 0,
  bootMs: null,
  console: [],
  warnings: [],
  bundle: null,
  frames: [],
  replayed: [],
})

type Accelerations = Readonly<Record<EmulatorName, Pick<Setting, 'acceleration' | 'whyAcceleration'>>>

interface Host {
  readonly options: VmOptions
  readonly setting: Omit<Setting, 'acceleration' | 'whyAcceleration'>
  readonly accelerations: Accelerations
  readonly places: readonly Place[]
}

const sendsFrames = ({ pairs, sources }: VmOptions): boolean => pairs || sources.length > 0

const taskOf = (options: VmOptions): Task => ({
  kind: 'run',
  select: options.select,
  require: options.require,
  baseline: options.baseline,
  long: options.long,
  capture: sendsFrames(options),
})

/** What fails on the host for one machine leaves the others as they are. */
const bootOrTell = async (
  machine: Machine,
  task: Task,
  setting: Setting,
  tell: (state: string) => void,
): Promise<MachineResult> => {
  try {
    return await bootMachine(machine, task, setting, tell)
  } catch (error) {
    return setting.signal.aborted
      ? without(machine, 'interrupted', 'interrupted')
      : without(machine, 'refused', (error as Error).message)
  }
}

/** Boots what is planned, each with its task; null is for those with nothing to do. */
const bootAll = async (
  { options, setting, accelerations, places }: Host,
  planned: readonly Planned[],
  tasks: readonly (Task | null)[],
): Promise<(MachineResult | null)[]> => {
  let done = 0
  const all = tasks.filter(task => task !== null).length
  return await someAtATime(planned, places, async (one, { slot, folder }, i) => {
    const task = tasks[i] ?? null
    if (task === null) return null
    const { kernel, cpu } = one
    const tell = (state: string): void =>
      options.onProgress({ done, all, kernel: kernel.name, cpu: cpu.name, state })
    const search = options.emulators[cpu.emulator]
    if (search.found === null) return without(one, 'skipped', search.missing)
    if (options.signal.aborted) return without(one, 'interrupted', 'interrupted before it began')
    tell('boots')
    const machine: Machine = {
      kernel,
      cpu,
      emulator: search.found,
      slot,
      folder: join(folder, String(i)),
    }
    const result = await bootOrTell(machine, task, { ...setting, ...accelerations[cpu.emulator] }, tell)
    done += 1
    tell(result.status)
    return result
  })
}

/** A second boot of each machine, for the frames of the others. */
const replayAll = async (
  host: Host,
  planned: readonly Planned[],
  machines: readonly MachineResult[],
): Promise<MachineResult[]> => {
  const { pairs, sources } = host.options
  const jobs = pairs
    ? framesFor([...machines, ...sources])
    : machines.map(machine => framesFor([machine, ...sources])[0] ?? [])
  const tasks = machines.map((machine, i): Task | null => {
    const own = jobs[i] ?? []
    if (own.length === 0 || !ranWhole(machine)) return null
    return { kind: 'replay', jobs: own, generation: machine.bundle?.kernel?.generation ?? null }
  })
  const replays = await bootAll(host, planned, tasks)
  return machines.map((machine, i) => {
    const replay = replays[i] ?? null
    // What kept it from being asked again says nothing of the kernel.
    if (replay === null || replay.status === 'interrupted' || replay.status === 'skipped') return machine
    if (replay.status === 'ran') return { ...machine, replayed: replay.replayed }
    // What it was before the frames of others came is kept; how it ended is what they made of it.
    const { status, reason, phase, console } = replay
    return { ...machine, status, reason: `with frames of other machines: ${reason}`, phase, console }
  })
}

const qemuAcceleration = async (
  options: VmOptions,
  found: FoundEmulator,
  { slot, folder }: Place,
): Promise<Accelerations['qemu']> => {
  const [kernel] = options.kernels
  if (options.acceleration !== 'auto' || kernel === undefined)
    return { acceleration: options.acceleration === 'kvm' ? 'kvm' : 'tcg', whyAcceleration: '' }
  options.onProgress({ done: 0, all: 0, kernel: kernel.name, cpu: 'KVM', state: 'tries it out' })
  const canary = await findAcceleration(
    found,
    kernel,
    { slot, folder: join(folder, 'canary') },
    options.signal,
  )
  return { acceleration: canary.kind, whyAcceleration: canary.reason }
}

const accelerationsFor = async (options: VmOptions, place: Place): Promise<Accelerations> => {
  const { found } = options.emulators.qemu
  const isUsed = found !== null && options.cpus.some(({ emulator }) => emulator === 'qemu')
  return {
    qemu: isUsed
      ? await qemuAcceleration(options, found, place)
      : { acceleration: 'tcg', whyAcceleration: '' },
    bochs: { acceleration: 'interpreter', whyAcceleration: '' },
  }
}

/** All machines, as they end. */
const bootPlanned = async (options: VmOptions, folder: string): Promise<readonly MachineResult[]> => {
  const planned = plan(options)
  if (planned.length === 0) return []
  const count = Math.min(options.atOnce ?? availableParallelism(), planned.length)
  // Where no emulator is there, none of what a machine needs is made.
  const isUsable = planned.some(({ cpu }) => options.emulators[cpu.emulator].found !== null)
  const places = isUsable ? await makePlaces(await buildImage(options.signal), count, folder) : [nowhere]
  const { memoryMib, seconds, append, signal } = options
  const accelerations = await accelerationsFor(options, places[0] as Place)
  const host: Host = { options, setting: { memoryMib, seconds, append, signal }, accelerations, places }
  const task = taskOf(options)
  const tasks = planned.map(() => task)
  const first = (await bootAll(host, planned, tasks)) as MachineResult[]
  return sendsFrames(options) && !signal.aborted ? await replayAll(host, planned, first) : first
}

/**
 * Boots every kernel with every CPU and runs the selftests in each.
 * @throws HostError, CacheError where the host cannot do it: no room on the disk
 */
export const runMachines = async (options: VmOptions): Promise<VmReport> => {
  const startedAt = new Date()
  const started = performance.now()
  const machines = await inTemporaryFolder(folder =>
    bootPlanned(options, folder).catch((error: unknown) => {
      if (!options.signal.aborted) throw error
      return plan(options).map(one => without(one, 'interrupted', 'interrupted before it began'))
    }),
  )
  return {
    format: 'sigframe vm',
    version: 1,
    tool: { name: 'sigframe', version: toolVersion() },
    startedAt: startedAt.toISOString(),
    durationMs: Math.round(performance.now() - started),
    require: options.require,
    rule: options.rule,
    interrupted: options.signal.aborted,
    machines,
  }
}
