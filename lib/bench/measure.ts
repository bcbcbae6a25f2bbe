/** Measuring a lane against its yardsticks: in turn, many times, and the median of what came out. */
import type { Lane, Yardstick } from './lane.ts'

/** A lane's pace beside that of a yardstick. */
export interface Comparison {
  readonly against: string
  /** The yardstick's. Median over the rounds. */
  readonly limitPerSecond: number
  /** Median of the rounds' own ratios: what disturbs a round disturbs all of it. */
  readonly ratio: number
  readonly lowestRatio: number
  readonly highestRatio: number
}

/** One lane measured, beside its first yardstick and the others. */
export interface Measured extends Comparison {
  readonly lane: string
  /** Median over the rounds. */
  readonly perSecond: number
  readonly others: readonly Comparison[]
}

/** How much is run at a time: of the lane, and of each of its yardsticks. */
export interface Portion {
  readonly lane: Lane
  readonly count: number
  readonly counts: readonly number[]
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

const fittingYardstick = async ({ run }: Yardstick, sliceMs: number): Promise<number> => {
  await run(firstCount)
  const ms = (await run(firstCount * 16)) / 1e6
  return fitting(firstCount * 16, ms, sliceMs)
}

/** Finds how many probes fill a slice of time, each try warming up the next. */
export const portion = async (lane: Lane, sliceMs: number): Promise<Portion> => {
  let count = firstCount
  let ms = await milliseconds(lane, count)
  for (let tries = 0; ms < sliceMs * nearEnough && tries < mostTries; tries++) {
    count = Math.min(count * 4, fitting(count, ms, sliceMs))
    ms = await milliseconds(lane, count)
  }
  const counts: number[] = []
  for (const yardstick of lane.against) counts.push(await fittingYardstick(yardstick, sliceMs))
  return { lane, count: fitting(count, ms, sliceMs), counts }
}

interface Round {
  readonly perSecond: number
  /** Of each yardstick. */
  readonly limits: readonly number[]
}

/** One after the other; `lastFirst` changes from round to round, so that none is always the second. */
const round = async ({ lane, count, counts }: Portion, lastFirst: boolean): Promise<Round> => {
  const engine = async (): Promise<number> => count / ((await milliseconds(lane, count)) / 1e3)
  const limits = async (): Promise<number[]> => {
    const paces: number[] = []
    for (const [i, { run }] of lane.against.entries()) {
      const times = counts[i] ?? 1
      paces.push(times / ((await run(times)) / 1e9))
    }
    return paces
  }
  if (lastFirst) {
    const first = await limits()
    return { limits: first, perSecond: await engine() }
  }
  const perSecond = await engine()
  return { perSecond, limits: await limits() }
}

const compare = ({ name }: Yardstick, at: number, rounds: readonly Round[]): Comparison => {
  const limits = rounds.map(one => one.limits[at] ?? Number.NaN)
  const ratios = rounds.map(({ perSecond }, i) => perSecond / (limits[i] ?? Number.NaN))
  return {
    against: name,
    limitPerSecond: median(limits),
    ratio: median(ratios),
    lowestRatio: Math.min(...ratios),
    highestRatio: Math.max(...ratios),
  }
}

const summarize = ({ lane }: Portion, rounds: readonly Round[]): Measured => ({
  lane: lane.name,
  perSecond: median(rounds.map(({ perSecond }) => perSecond)),
  ...compare(lane.against[0], 0, rounds),
  others: lane.against.slice(1).map((one, i) => compare(one, i + 1, rounds)),
})

/**
 * Measures lanes, all of them in each round: what slows the machine for a while slows all.
 * @param sliceMs how long each part of a round takes for a lane of weight 1
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
