/** Measuring a lane against the plain loop: in turn, many times, and the median of what came out. */
import type { Lane } from './lanes.ts'

/** One lane measured. */
export interface Measured {
  readonly lane: string
  /** Median over the rounds. */
  readonly perSecond: number
  readonly limitPerSecond: number
  /** Median of the rounds' own ratios: what disturbs a round disturbs both of its halves. */
  readonly ratio: number
  readonly lowestRatio: number
  readonly highestRatio: number
}

/** How much is run at a time. */
export interface Portion {
  readonly lane: Lane
  readonly count: number
  readonly loopCount: number
}

const mostCount = 1_000_000
const firstCount = 64
const nearEnough = 0.7
const mostTries = 16

/** The middle value; of an even number of values the mean of the middle two. NaN of none. */
export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  const upper = sorted[half] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2
}

const milliseconds = async (lane: Lane, count: number): Promise<number> => {
  const started = performance.now()
  await lane.run(count)
  return performance.now() - started
}

const fitting = (count: number, ms: number, sliceMs: number): number =>
  Math.min(mostCount, Math.max(1, Math.round((count * sliceMs) / Math.max(ms, 1e-6))))

/** Finds how many probes fill a slice of time, each try warming up the next. */
export const portion = async (lane: Lane, sliceMs: number): Promise<Portion> => {
  let count = firstCount
  let ms = await milliseconds(lane, count)
  for (let tries = 0; ms < sliceMs * nearEnough && tries < mostTries; tries++) {
    count = Math.min(count * 4, fitting(count, ms, sliceMs))
    ms = await milliseconds(lane, count)
  }
  lane.loop(firstCount)
  const loopMs = lane.loop(firstCount * 16) / 1e6
  return { lane, count: fitting(count, ms, sliceMs), loopCount: fitting(firstCount * 16, loopMs, sliceMs) }
}

interface Round {
  readonly perSecond: number
  readonly limitPerSecond: number
}

/** The two one after the other; `loopFirst` changes from round to round, so that neither is always the second. */
const round = async ({ lane, count, loopCount }: Portion, loopFirst: boolean): Promise<Round> => {
  const loop = (): number => loopCount / (lane.loop(loopCount) / 1e9)
  const engine = async (): Promise<number> => count / ((await milliseconds(lane, count)) / 1e3)
  if (loopFirst) {
    const limitPerSecond = loop()
    return { limitPerSecond, perSecond: await engine() }
  }
  const perSecond = await engine()
  return { perSecond, limitPerSecond: loop() }
}

const summarize = ({ lane }: Portion, rounds: readonly Round[]): Measured => {
  const ratios = rounds.map(({ perSecond, limitPerSecond }) => perSecond / limitPerSecond)
  return {
    lane: lane.name,
    perSecond: median(rounds.map(({ perSecond }) => perSecond)),
    limitPerSecond: median(rounds.map(({ limitPerSecond }) => limitPerSecond)),
    ratio: median(ratios),
    lowestRatio: Math.min(...ratios),
    highestRatio: Math.max(...ratios),
  }
}

/**
 * Measures lanes, all of them in each round: what slows the machine for a while slows all.
 * @param sliceMs how long either half of a round takes for a lane of weight 1
 * @param onStep told after each lane of each round how many steps are done, and of how many
 */
export const measure = async (
  lanes: readonly Lane[],
  { rounds, sliceMs }: { readonly rounds: number; readonly sliceMs: number },
  onStep: (done: number, of: number) => void = () => undefined,
): Promise<Measured[]> => {
  const steps = lanes.length * (rounds + 1)
  let done = 0
  const portions: Portion[] = []
  for (const lane of lanes) {
    portions.push(await portion(lane, sliceMs * lane.weight))
    onStep(++done, steps)
  }
  const results: Round[][] = portions.map(() => [])
  for (let i = 0; i < rounds; i++) {
    for (const [at, one] of portions.entries()) {
      results[at]?.push(await round(one, i % 2 === 0))
      onStep(++done, steps)
    }
  }
  return portions.map((one, i) => summarize(one, results[i] ?? []))
}
