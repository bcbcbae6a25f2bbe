/** The frames of a run, batch by batch: the same for the same seed, on any machine with the same layout. */
import { createRandom } from '../xstate/random.ts'
import type { DrawnFrame } from './grammar.ts'
import type { Subject } from './subject.ts'

/** Frames that are sent together: a ring full. */
export const batchFrames = 128
/** Frames of one run. */
export const mostRuns = 2 ** 40
export const mostSeed = 2 ** 20 - 1
/** Batches of one seed: their generators are told apart by so many. */
const batchesOfSeed = 2 ** 33

export const framesOf = (
  { draw }: Pick<Subject, 'draw'>,
  seed: number,
  batch: number,
  count: number,
): DrawnFrame[] => {
  const random = createRandom(seed * batchesOfSeed + batch)
  return Array.from({ length: count }, () => draw(random))
}
