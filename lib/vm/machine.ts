/** One virtual machine: a kernel on an emulated CPU, and what came of running the selftests in it. */
import type { DemandId } from '../contract/demand.ts'
import type { CapturedFrame, ReplayedFrame } from '../foreign/captured.ts'
import type { Bundle } from '../harness/results.ts'

/** A kernel to boot. */
export interface MachineKernel {
  /** What the matrix calls it: `debian:7.2.12`, or as much of the path as tells it from the others. */
  readonly name: string
  /** Of a bzImage. */
  readonly path: string
  /** As its header has it, up to the first blank; null where it has none. */
  readonly release: string | null
}

/** A CPU to boot it on. */
export interface MachineCpu {
  /** As in `--cpu`: one of the named set, or an emulator's own model. */
  readonly name: string
  readonly emulator: EmulatorName
  /** The emulator's own text: `max,-mpx`. */
  readonly model: string
}

export type EmulatorName = 'qemu' | 'bochs'

/** What executes the guest's instructions; Bochs knows its own interpreter only. */
export type Acceleration = 'kvm' | 'tcg' | 'interpreter'

/**
 * How a machine ended. Only `ran` has a bundle that is whole; whether the kernel passed is in its verdicts.
 * - `ran`: to the end, and the results arrived.
 * - `stuck`: the probe process could not be killed: the kernel does not come back from it.
 * - `oops`, `panic`: the kernel says so on the console.
 * - `hang`: the machine went silent, PID 1 included.
 * - `timeout`: PID 1 lives, but the run did not end in its time.
 * - `memory`: the kernel, or the emulator, ran out of it.
 * - `lacks`: the kernel is without what Node or the probes need.
 * - `silent`: nothing at all was printed: no serial console, or no start.
 * - `cut-off`: it ended, but what arrived is not whole.
 * - `broken`: the run in the machine failed by sigframe's own fault, or found nothing to run.
 * - `refused`: the emulator did not start, or gave up by itself.
 * - `skipped`: there is no such emulator here.
 * - `interrupted`: Ctrl-C came first.
 */
export const machineStatuses = [
  'ran',
  'stuck',
  'oops',
  'panic',
  'hang',
  'timeout',
  'memory',
  'lacks',
  'silent',
  'cut-off',
  'broken',
  'refused',
  'skipped',
  'interrupted',
] as const
export type MachineStatus = (typeof machineStatuses)[number]

/** How far a machine came. */
export type MachinePhase = 'emulator' | 'boot' | 'probes' | 'end'

export interface MachineResult {
  readonly kernel: MachineKernel
  readonly cpu: MachineCpu
  /** Null where there is none. */
  readonly emulator: {
    readonly version: string
    readonly acceleration: Acceleration
    /** Why this acceleration, in one line; empty where it was asked for. */
    readonly why: string
  } | null
  readonly status: MachineStatus
  /** Why this status, in one line; empty for `ran`. */
  readonly reason: string
  readonly phase: MachinePhase
  /** Kernel options that Node or the probes need and this kernel lacks: `CONFIG_FUTEX (futex)`. */
  readonly lacks: readonly string[]
  /** Kernel options without which cases are skipped. */
  readonly wants: readonly string[]
  /** Boots that it took: an emulated CPU can fail before the first program runs. */
  readonly attempts: number
  /** From the emulator's start to its end, the last boot alone. */
  readonly durationMs: number
  /** From the emulator's start to PID 1; null where it did not come to that. */
  readonly bootMs: number | null
  /** What of the console tells of its end: from where the kernel began to complain, or the last lines; empty for `ran`. */
  readonly console: readonly string[]
  /** Warnings of the kernel on the console, before the run began. */
  readonly warnings: readonly string[]
  readonly bundle: Bundle | null
  readonly frames: readonly CapturedFrame[]
  readonly replayed: readonly ReplayedFrame[]
}

/** All machines of a `sigframe vm`. */
export interface VmReport {
  readonly format: 'sigframe vm'
  readonly version: 1
  readonly tool: { readonly name: 'sigframe'; readonly version: string }
  readonly startedAt: string
  readonly durationMs: number
  /** The generation that was demanded. */
  readonly require: DemandId | null
  /** The rule that alone was judged. */
  readonly rule: string | null
  /** Whether Ctrl-C ended it early. */
  readonly interrupted: boolean
  /** Kernels in the order given, for each its CPUs in the order given. */
  readonly machines: readonly MachineResult[]
}
