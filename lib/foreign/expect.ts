/** What a kernel of a generation must do with a frame of another machine, and whether it did. */

import { type Generation, generations } from '../contract/generations.ts'
import type { Policy } from '../contract/policy.ts'
import { answerByTheManual } from '../contract/predict/manual.ts'
import { sentFrame } from '../contract/predict/sent.ts'
import type { Task } from '../contract/predict/task.ts'
import { endText } from '../contract/predict/words.ts'
import type { Primitive } from '../frame/edit.ts'
import type { FrameParts } from '../frame/reader.ts'
import { observe, surpriseOf } from '../fuzz/observe.ts'
import { askHardware } from '../harness/task.ts'
import { isEmulated } from '../hosts/host.ts'
import type { Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import type { ReplayedFrame } from './captured.ts'
import type { ForeignFrame } from './foreign.ts'
import { type Oracle, type PredictedForeign, predictForeign } from './predict.ts'

export type Judgement = Pick<ReplayedFrame, 'expected' | 'asExpected'>

export const unjudged: Judgement = Object.freeze({ expected: '', asExpected: null })

/** How a generation decides; null where none is known. Without XSAVE there is nothing in which they differ. */
export const policyFor = (generation: Generation | null, { xsave }: Layout): Policy | null =>
  (generation ?? (xsave ? null : generations[0]))?.policy ?? null

const expectedText = ({ ended, arrival, closesMemory }: PredictedForeign): string => {
  const text = endText(ended)
  if (arrival === null) return text
  if (closesMemory) return `${text}; PKRU then closes the process’s own memory`
  const { lost, unknown } = arrival
  return [
    text,
    ...(lost.length > 0 ? [`lost: ${lost.join(' ')}`] : []),
    ...(unknown.length > 0 ? [`unknown here: ${unknown.join(' ')}`] : []),
  ].join('; ')
}

/** Whoever cannot reach its own memory is ended by a signal, or gets one. */
const isCutOff = (seen: Seen): boolean =>
  seen.kind === 'died' || (seen.kind === 'signal' && seen.where === 'after')

/** This CPU; the manuals where the question would cost the process that puts it. */
export const liveOracle =
  (probe: Probe): Oracle =>
  (ask, before) =>
    askHardware(probe, [{ ask, before }])[0] ?? answerByTheManual(ask, probe.layout, isEmulated(probe.cpu))

/** Who returns from the frame. */
export interface Returning {
  readonly probe: Probe
  readonly task: Task
  /** Null where the generation is not known. */
  readonly policy: Policy | null
}

/** A frame that is to be sent, and what the registers hold then. */
export interface Sending {
  readonly foreign: ForeignFrame
  readonly parts: FrameParts
  readonly primitives: readonly Primitive[]
  readonly poison: XsaveImage
}

/** Predicts what becomes of a frame. @returns what says of a result whether it is as predicted */
export const expectationOf = (
  returning: Returning,
  { foreign, parts, primitives, poison }: Sending,
): ((seen: Seen) => Judgement) => {
  const { probe, task, policy } = returning
  if (policy === null) return () => unjudged
  const { layout, limits } = probe
  const frame = sentFrame(parts, primitives, limits)
  const predicted = predictForeign({ foreign, frame, before: poison }, task, policy, liveOracle(probe))
  if ('unpredicted' in predicted) return () => unjudged
  const expected = expectedText(predicted)
  const isExpected = predicted.closesMemory
    ? isCutOff
    : (seen: Seen): boolean => surpriseOf(observe(seen), predicted.ended, layout) === null
  return seen => ({ expected, asExpected: isExpected(seen) })
}
