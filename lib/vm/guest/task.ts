/** What a machine is asked to do, and what it answers: both sides include this. */
import type { DemandId } from '../../contract/demand.ts'
import type { GenerationId } from '../../contract/generations.ts'
import type { CapturedFrame, FrameJob, ReplayedFrame } from '../../foreign/captured.ts'
import type { Bundle } from '../../harness/results.ts'

/** Run the selftests, and keep frames for other machines. */
export interface RunTask {
  readonly kind: 'run'
  readonly select: readonly string[]
  readonly require: DemandId | null
  readonly baseline: Bundle | null
  readonly long: boolean
  readonly capture: boolean
}

/** Send the frames of other machines. */
export interface ReplayTask {
  readonly kind: 'replay'
  readonly jobs: readonly FrameJob[]
  /** What the kernel was told to be. */
  readonly generation: GenerationId | null
}

export type Task = RunTask | ReplayTask

export interface Answer {
  readonly bundle: Bundle | null
  readonly frames: readonly CapturedFrame[]
  readonly replayed: readonly ReplayedFrame[]
}
