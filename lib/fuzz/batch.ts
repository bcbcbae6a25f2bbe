/** Sends drawn frames, and holds what became of each to the prediction. */
import type { SentFrame } from '../contract/predict/frame.ts'
import type { HardwareAnswer } from '../contract/predict/hardware.ts'
import { type Ended, type Prediction, predict } from '../contract/predict/predict.ts'
import { sentFrame } from '../contract/predict/sent.ts'
import { askHardware } from '../harness/task.ts'
import type { PreparedRequest } from '../probe/request.ts'
import type { Seen } from '../probe/result.ts'
import type { DrawnFrame } from './grammar.ts'
import { type Observation, observe, type Surprise, surpriseOf } from './observe.ts'
import { type PoolImage, requestOf, type Subject } from './subject.ts'

/** What one frame came to. */
export type Outcome =
  | { readonly kind: 'as predicted'; readonly predicted: Ended; readonly asked: boolean }
  /** What was observed may be lent: to be looked at before the visit ends. */
  | { readonly kind: 'surprise'; readonly surprise: Surprise; readonly observation: Observation }
  /** The process was lost, or something else that no frame may do. */
  | { readonly kind: 'lost'; readonly how: string }
  /** It hangs on what nobody knows. */
  | { readonly kind: 'unpredicted' }
  /** What it needs is refused here. */
  | { readonly kind: 'unable'; readonly why: string }

/** One whose hardware has to be asked, once nothing is lent any more. */
interface Pending {
  readonly index: number
  readonly frame: SentFrame
  readonly observation: Observation
}

const copyOf = (bytes: Uint8Array | null): Uint8Array | null => bytes?.slice() ?? null

const kept = (index: number, frame: SentFrame, { end, after }: Observation): Pending => ({
  index,
  frame: { ...frame, area: frame.area.slice(), fsave: copyOf(frame.fsave) },
  observation: { end, after: copyOf(after) },
})

const unpredicted: Outcome = Object.freeze({ kind: 'unpredicted' })

const judge = (subject: Subject, observation: Observation, predicted: Ended, asked: boolean): Outcome => {
  const surprise = surpriseOf(observation, predicted, subject.task.layout)
  return surprise === null
    ? { kind: 'as predicted', predicted, asked }
    : { kind: 'surprise', surprise, observation }
}

/** What happened instead of a frame's return, or null where there was one. */
const withoutReturn = (seen: Seen): Outcome | null => {
  if ('sentView' in seen) return null
  if (seen.kind === 'refused') return { kind: 'unable', why: `${seen.call} is refused with ${seen.errno}` }
  return { kind: 'lost', how: observe(seen).end }
}

const finishPending = (
  subject: Subject,
  frames: readonly DrawnFrame[],
  pending: readonly Pending[],
  visit: (outcome: Outcome, index: number) => void,
): void => {
  const { task, policy, probe, poisons } = subject
  const questions = pending.flatMap(({ frame, index }) => {
    const prediction = predict(frame, task, policy)
    if (prediction.end !== 'ask') return []
    return [
      { ask: prediction.ask, before: (poisons[(frames[index] as DrawnFrame).poison] as PoolImage).prepared },
    ]
  })
  const answers = askHardware(probe, questions)
  pending.forEach(({ frame, index, observation }, i) => {
    const answer: HardwareAnswer | null | undefined = answers[i]
    const prediction: Prediction =
      answer === null || answer === undefined ? { end: 'unknown' } : predict(frame, task, policy, answer)
    visit(
      prediction.end === 'unknown' || prediction.end === 'ask'
        ? unpredicted
        : judge(subject, observation, prediction, true),
      index,
    )
  })
}

/** Sends frames, at best a whole ring of them, and says of each what it came to; not in their order. */
export const runBatch = (
  subject: Subject,
  frames: readonly DrawnFrame[],
  visit: (outcome: Outcome, index: number) => void,
): void => {
  const { probe, task, policy } = subject
  const requests: PreparedRequest[] = frames.map(frame => probe.prepare(requestOf(subject, frame)))
  const pending: Pending[] = []
  probe.runEach(requests, (seen, index) => {
    const other = withoutReturn(seen)
    if (other !== null || !('sentView' in seen)) {
      visit(other ?? unpredicted, index)
      return
    }
    const { primitives } = (requests[index] as PreparedRequest).edit
    const frame = sentFrame(seen.sentView, primitives, probe.limits)
    const prediction = predict(frame, task, policy)
    if (prediction.end === 'ask') pending.push(kept(index, frame, observe(seen)))
    else if (prediction.end === 'unknown') visit(unpredicted, index)
    else visit(judge(subject, observe(seen), prediction, false), index)
  })
  finishPending(subject, frames, pending, visit)
}
