/** The fate of a frame as it is seen: sent, and compared with what was predicted. */
import type { GenerationId } from '../contract/generations.ts'
import type { Returning } from '../foreign/expect.ts'
import type { ForeignFrame } from '../foreign/foreign.ts'
import type { Oracle } from '../foreign/predict.ts'
import { sendForeign } from '../foreign/replay.ts'
import type { Seen } from '../probe/result.ts'
import type { Sender } from './create.ts'
import type { Fate, FateEnd } from './fate.ts'
import type { PairSeen } from './matrix.ts'
import { nothing } from './predicted.ts'

type Sent = ReturnType<typeof sendForeign>

/** Each costs seconds, and one that SIGKILL does not end costs the machine a CPU. */
const mostStuck = 3

const endOf = ({ outcome }: Sent): FateEnd => {
  if (outcome === 'holds' || outcome === 'loses') return 'returned'
  return outcome === 'unable' ? 'unknown' : outcome
}

const sameNames = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every(name => b.includes(name))

/** What is compared of a fate. */
type Compared = Pick<Fate, 'end' | 'lost' | 'unknown' | 'leftOver'>

const comparedOf = (sent: Sent): Compared => {
  const { lost, unknown, leftOver } = sent.arrived?.arrival ?? nothing
  return { end: endOf(sent), lost, unknown, leftOver }
}

/** By the bytes, as the model has them; and by what a pair is judged by. */
const isAsPredicted = (sent: Sent, seen: Compared, predicted: Fate): boolean | null => {
  if (predicted.end === 'unknown') return null
  return (
    sent.asExpected !== false &&
    seen.end === predicted.end &&
    sameNames(seen.lost, predicted.lost) &&
    sameNames(seen.unknown, predicted.unknown) &&
    sameNames(seen.leftOver, predicted.leftOver)
  )
}

/** What was seen, in the place of what was predicted; of a frame that could not be sent the prediction stands. */
const seenFate = (sent: Sent, predicted: Fate): Fate => {
  const { outcome, observed } = sent
  const seen = comparedOf(sent)
  const asPredicted = outcome === 'unable' ? null : isAsPredicted(sent, seen, predicted)
  const told: PairSeen = { outcome, observed, asPredicted }
  if (outcome === 'unable') return { ...predicted, seen: told }
  if (asPredicted === true) return { ...predicted, seen: told }
  // Whose rule it was is not known where it was not the one that was predicted: it may lose all, whatever is in use.
  return { ...seen, fxOnly: seen.lost.length > 0, rule: null, text: observed, seen: told }
}

const unsent = (predicted: Fate, why: string): Fate => ({
  ...predicted,
  seen: { outcome: 'unable', observed: why, asPredicted: null },
})

/**
 * @param generation of the kernel; null where it is not known
 * @param oracle who answers for the hardware
 */
export const senderOf = (returning: Returning, generation: GenerationId | null, oracle: Oracle): Sender => {
  const known = new WeakMap<ForeignFrame, Fate>()
  let stuck = 0
  const count = ({ kind }: Seen): void => {
    if (kind === 'timeout' || kind === 'stuck') stuck += 1
  }
  const sendNew = (foreign: ForeignFrame, predicted: Fate): Fate =>
    stuck < mostStuck
      ? seenFate(sendForeign(returning, foreign, count), predicted)
      : unsent(predicted, `not sent: ${stuck} frames before made no progress`)
  return {
    layout: returning.probe.layout,
    generation,
    destination: { task: returning.task, oracle },
    send: (foreign, predicted) => {
      const fate = known.get(foreign) ?? sendNew(foreign, predicted)
      known.set(foreign, fate)
      return fate
    },
  }
}
