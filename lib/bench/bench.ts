/** `sigframe bench`: the engine against the plain loop and against itself, on this host, now. */
import { availableParallelism, release } from 'node:os'
import { open } from '../probe/session.ts'
import { withCoreLane } from './core-lane.ts'
import type { Lane, Wanted } from './lane.ts'
import { lanesOf } from './lanes.ts'
import { type Measured, measure } from './measure.ts'

export interface LaneResult extends Measured {
  readonly wanted: Wanted | null
}

export interface BenchResult {
  readonly host: {
    readonly cpu: string
    readonly cpus: number
    readonly kernel: string
    readonly node: string
  }
  readonly rounds: number
  readonly lanes: readonly LaneResult[]
}

/** An odd number: the median is a round that was. */
const rounds = 7
/** What finding the portions takes of the time. */
const share = 0.85

/**
 * Runs all lanes.
 * @param seconds for all of it together, roughly
 * @throws NativeUnavailableError, BenchError
 */
export const bench = (seconds: number, onStep?: (done: number, of: number) => void): Promise<BenchResult> =>
  withCoreLane(core => benchWith(core, seconds, onStep))

const benchWith = async (
  core: Lane,
  seconds: number,
  onStep?: (done: number, of: number) => void,
): Promise<BenchResult> => {
  const probe = await open()
  const pinned = await open({ pin: true })
  try {
    const lanes = [...lanesOf(probe, pinned), core]
    const parts = lanes.reduce((sum, { weight, against }) => sum + weight * (1 + against.length), 0)
    const sliceMs = (seconds * 1000 * share) / (parts * rounds)
    const measured = await measure(lanes, { rounds, sliceMs }, onStep)
    return {
      host: {
        cpu: probe.cpu.brand.trim(),
        cpus: availableParallelism(),
        kernel: release(),
        node: process.versions.node,
      },
      rounds,
      lanes: measured.map((one, i) => ({ ...one, wanted: lanes[i]?.wanted ?? null })),
    }
  } finally {
    await pinned.close()
    await probe.close()
  }
}
