/** What a lane of `sigframe bench` is. */

/** What is hoped for: a part of the pace of what a lane is compared with first, or a pace. */
export type Wanted = { readonly ratio: number } | { readonly perSecond: number }

/** What a lane is compared with. */
export interface Yardstick {
  /** In a word or two. */
  readonly name: string
  /** Does as much as so many probes of the lane. @returns nanoseconds @throws BenchError */
  readonly run: (count: number) => number | Promise<number>
}

export interface Lane {
  readonly name: string
  readonly wanted: Wanted | null
  /** The longer a slice, the less what begins and ends it counts: more for lanes that something is wanted of. */
  readonly weight: number
  /** Runs so many probes. @throws BenchError when one is not what is meant */
  readonly run: (count: number) => void | Promise<void>
  readonly against: readonly [Yardstick, ...Yardstick[]]
}

/** A frame met another fate than meant: then what was measured is not what the lane says. */
export class BenchError extends Error {
  override name = 'BenchError'
}
