/** What a kernel of a generation must do with a frame of another machine, and whether it did. */

import { type Generation, generations } from '../../contract/generations.ts'
import type { Policy } from '../../contract/policy.ts'
import type { SentFrame } from '../../contract/predict/frame.ts'
import { type Ended, type Prediction, predict } from '../../contract/predict/predict.ts'
import type { Registers } from '../../contract/predict/registers.ts'
import { sentFrame } from '../../contract/predict/sent.ts'
import type { Task } from '../../contract/predict/task.ts'
import { endText } from '../../contract/predict/words.ts'
import type { Primitive } from '../../frame/edit.ts'
import type { FrameParts } from '../../frame/reader.ts'
import { observe, surpriseOf } from '../../fuzz/observe.ts'
import { askHardware } from '../../harness/task.ts'
import type { Seen } from '../../probe/result.ts'
import type { Probe } from '../../probe/session.ts'
import { initImage, type XsaveImage } from '../../xstate/image.ts'
import type { Layout } from '../../xstate/layout.ts'
import type { ReplayedFrame } from '../machine.ts'
import { arrivalOf, type ForeignFrame } from './foreign.ts'

export type Judgement = Pick<ReplayedFrame, 'expected' | 'asExpected'>

export const unjudged: Judgement = Object.freeze({ expected: '', asExpected: null })

/** How a generation decides; null where none is known. Without XSAVE there is nothing in which they differ. */
export const policyFor = (generation: Generation | null, { xsave }: Layout): Policy | null =>
  (generation ?? (xsave ? null : generations[0]))?.policy ?? null

/** The state that registers are in; MXCSR as in `otherwise` where nobody says. */
const imageOf = ({ loaded, area, x87, mxcsr }: Registers, otherwise: XsaveImage): XsaveImage => {
  const { layout } = otherwise
  const image = initImage(layout)
  for (const { name, ranges, mask } of layout.components) {
    if ((loaded & mask) === 0n) continue
    const from = name === 'x87' ? x87 : area
    for (const { offset, size } of ranges) image.bytes.set(from.subarray(offset, offset + size), offset)
  }
  image.mxcsr = mxcsr ?? otherwise.mxcsr
  if (layout.xsave) image.xstateBv = loaded
  return image
}

/** PKRU's bits of key 0, that of all memory of a process which asks for no other. */
const key0 = 3

/** Whether the process cannot go on with these: another layout's bytes may be read as keys. */
const closesMemory = ({ loaded, area }: Registers, layout: Layout): boolean => {
  if (!layout.has('pkru')) return false
  const { mask, offset } = layout.component('pkru')
  return (loaded & mask) !== 0n && ((area[offset] ?? 0) & key0) !== 0
}

const expectedText = (ended: Ended, foreign: ForeignFrame, before: XsaveImage): string => {
  const text = endText(ended)
  if (ended.end === 'rejected' || ended.end === 'killed') return text
  if (closesMemory(ended.registers, before.layout))
    return `${text}; PKRU then closes the process’s own memory`
  const { lost, unknown } = arrivalOf(foreign, imageOf(ended.registers, before))
  return [
    text,
    ...(lost.length > 0 ? [`lost: ${lost.join(' ')}`] : []),
    ...(unknown.length > 0 ? [`unknown here: ${unknown.join(' ')}`] : []),
  ].join('; ')
}

/** Whoever cannot reach its own memory is ended by a signal, or gets one. */
const isCutOff = (seen: Seen): boolean =>
  seen.kind === 'died' || (seen.kind === 'signal' && seen.where === 'after')

/** Who returns from the frame. */
export interface Returning {
  readonly probe: Probe
  readonly task: Task
  /** Null where the generation is not known. */
  readonly policy: Policy | null
}

/** Asks the hardware where the prediction hangs on it. */
const predicted = (
  { probe, task }: Returning,
  policy: Policy,
  frame: SentFrame,
  before: XsaveImage,
): Prediction => {
  const first = predict(frame, task, policy)
  if (first.end !== 'ask') return first
  const [answer] = askHardware(probe, [{ ask: first.ask, before }])
  return answer === null || answer === undefined ? { end: 'unknown' } : predict(frame, task, policy, answer)
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
  const { probe, policy } = returning
  if (policy === null) return () => unjudged
  const { layout, limits } = probe
  const prediction = predicted(returning, policy, sentFrame(parts, primitives, limits), poison)
  if (prediction.end === 'unknown' || prediction.end === 'ask') return () => unjudged
  const expected = expectedText(prediction, foreign, poison)
  const isExpected = closesMemory(prediction.registers, layout)
    ? isCutOff
    : (seen: Seen): boolean => surpriseOf(observe(seen), prediction, layout) === null
  return seen => ({ expected, asExpected: isExpected(seen) })
}
