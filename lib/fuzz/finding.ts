/** A difference between kernel and contract: shrunk, sent once more, and told in words. */
import { type GenerationId, generations } from '../contract/generations.ts'
import type { Policy } from '../contract/policy.ts'
import { expectedBytes } from '../contract/predict/compare.ts'
import type { SentFrame } from '../contract/predict/frame.ts'
import type { HardwareAnswer } from '../contract/predict/hardware.ts'
import { type Ended, predict } from '../contract/predict/predict.ts'
import { sentFrame } from '../contract/predict/sent.ts'
import { decidedBy, decisionsOf, decisionText, endText } from '../contract/predict/words.ts'
import type { RuleId } from '../contract/rules.ts'
import { plainOp } from '../harness/repro.ts'
import { askHardware } from '../harness/task.ts'
import type { Seen } from '../probe/result.ts'
import { XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Outcome, runBatch } from './batch.ts'
import type { DrawnFrame } from './grammar.ts'
import { hazardOf } from './hazard.ts'
import { type Observation, observe, type Surprise, surpriseOf } from './observe.ts'
import { shrink } from './shrink.ts'
import { type PoolImage, requestOf, type Subject } from './subject.ts'

/** One register, or one component's bytes. */
export interface Difference {
  readonly name: string
  /** Hexadecimal digits, or `init`. */
  readonly expected: string
  readonly observed: string
}

export interface Finding {
  /** Which frame of the run showed it first. */
  readonly index: number
  /** How many frames of the run showed the like. */
  readonly count: number
  /** Whether it showed again when it was sent again; only then was it shrunk. */
  readonly repeated: boolean
  /** The least that shows it. */
  readonly frame: DrawnFrame
  readonly tries: number
  readonly expected: string
  readonly observed: string
  /** The rule that says what was expected; null where none but the usual way had anything to say. */
  readonly rule: RuleId | null
  readonly differences: readonly Difference[]
  /** The kernel's decisions as expected, one line each. */
  readonly decisions: readonly string[]
  /** The generations whose kernels do what was seen. */
  readonly alsoAs: readonly GenerationId[]
  /** Those of which nobody can say: it hangs on bytes that are in no record. */
  readonly perhapsAs: readonly GenerationId[]
  /** What was expected, for who wants to go on with it; null where the process was lost. */
  readonly predicted: Ended | null
}

/** Blocked or not, a rejection is one. */
const expectedEnd = ({ end }: Ended): string => (end === 'killed' ? 'rejected' : end)

/**
 * What findings are the like by: the rule that is broken, and how; where no rule had anything to say, the registers that
 * are wrong.
 */
export const signatureOf = (outcome: Outcome): string | null => {
  if (outcome.kind === 'lost') return `lost: ${outcome.how}`
  if (outcome.kind !== 'surprise') return null
  const { expected, end, registers } = outcome.surprise
  const by = decidedBy(expected)
  const what = end ?? (by === null ? registers.join(' ') : 'registers')
  return `${expectedEnd(expected)} ${by?.step.rule ?? ''}: ${what}`
}

/** What a smaller frame has to show, too: that no rule had anything to say must stay so, whichever registers it is. */
const kindOf = (outcome: Outcome): string | null => {
  if (outcome.kind !== 'surprise') return signatureOf(outcome)
  const { expected, end } = outcome.surprise
  return `${expectedEnd(expected)} ${decidedBy(expected)?.step.rule ?? ''}: ${end ?? 'registers'}`
}

const runOne = (subject: Subject, frame: DrawnFrame): Outcome => {
  let found: Outcome = { kind: 'unpredicted' }
  runBatch(subject, [frame], outcome => {
    found = outcome
  })
  return found
}

const budget = 600
const simplest = { load: 1, poison: 0 }

const imageOf = (pool: readonly PoolImage[], i: number): PoolImage => pool[i] as PoolImage

/** A frame that hangs takes seconds each time. */
const longestMs = 5000

const shrinkFrame = (subject: Subject, frame: DrawnFrame, kind: string) => {
  const { layout, limits } = subject.probe
  const end = performance.now() + longestMs
  const differs = (candidate: DrawnFrame): boolean =>
    performance.now() < end && kindOf(runOne(subject, candidate)) === kind
  return shrink(frame, differs, {
    budget,
    simplest,
    layout,
    compiles: one => hazardOf(one, { layout, limits, load: imageOf(subject.loads, one.load).image }) === null,
  })
}

/** A prediction, with whatever the hardware has to say. */
export const predictAsking = (
  { probe, task, poisons }: Subject,
  frame: SentFrame,
  poison: number,
  policy: Policy,
): Ended | null => {
  const first = predict(frame, task, policy)
  if (first.end === 'unknown') return null
  if (first.end !== 'ask') return first
  const before = imageOf(poisons, poison).prepared
  const [answer]: (HardwareAnswer | null | undefined)[] = askHardware(probe, [{ ask: first.ask, before }])
  if (answer === null || answer === undefined) return null
  const again = predict(frame, task, policy, answer)
  return again.end === 'unknown' || again.end === 'ask' ? null : again
}

const hexOf = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')

/** MXCSR as people write it. */
const hex32 = (value: number): string => `0x${value.toString(16)}`

const differencesOf = (
  layout: Layout,
  { after }: Observation,
  { expected, registers }: Surprise,
): Difference[] => {
  if (after === null) return []
  const image = new XsaveImage(after, layout)
  return registers.map(name => {
    if (name === 'mxcsr')
      return { name, expected: hex32(expected.registers.mxcsr ?? 0), observed: hex32(image.mxcsr) }
    const placed = layout.component(name)
    const bytes = expectedBytes(placed, expected.registers)
    const inUse = (image.xstateBv & placed.mask) !== 0n
    return {
      name,
      expected: bytes === null ? 'init' : hexOf(bytes),
      observed: inUse ? hexOf(after.subarray(placed.offset, placed.end)) : 'init',
    }
  })
}

const observedText = (end: string, differences: readonly Difference[]): string =>
  differences.length === 0
    ? end
    : `${end}, but not as expected: ${differences.map(({ name }) => name).join(' ')}`

/** What can be said of a difference while it is looked at. */
export type FirstLook = Pick<Finding, 'expected' | 'observed' | 'rule' | 'differences'>

/** @param outcome what a batch has just told: a difference, or a lost process */
export const firstLook = ({ task }: Subject, outcome: Outcome): FirstLook => {
  if (outcome.kind !== 'surprise')
    return {
      expected: 'the frame’s return',
      observed: outcome.kind === 'lost' ? outcome.how : outcome.kind,
      rule: null,
      differences: [],
    }
  const { surprise, observation } = outcome
  const differences = differencesOf(task.layout, observation, surprise)
  return {
    expected: endText(surprise.expected),
    observed: observedText(observation.end, differences),
    rule: decidedBy(surprise.expected)?.step.rule ?? null,
    differences,
  }
}

interface Told
  extends Pick<
    Finding,
    'expected' | 'observed' | 'rule' | 'differences' | 'decisions' | 'alsoAs' | 'perhapsAs'
  > {
  readonly predicted: Ended | null
}

/** Whose kernels do what was seen. */
const asWhom = (
  subject: Subject,
  sent: SentFrame,
  poison: number,
  kept: Observation,
): Pick<Finding, 'alsoAs' | 'perhapsAs'> => {
  const alsoAs: GenerationId[] = []
  const perhapsAs: GenerationId[] = []
  for (const { id, policy } of generations) {
    const other = predictAsking(subject, sent, poison, policy)
    if (other === null) perhapsAs.push(id)
    else if (surpriseOf(kept, other, subject.task.layout) === null) alsoAs.push(id)
  }
  return { alsoAs, perhapsAs }
}

/** Sends a frame once more, and says what was expected and what was seen. */
export const tell = (subject: Subject, frame: DrawnFrame): Told => {
  const { probe, policy } = subject
  const request = probe.prepare(requestOf(subject, frame))
  const [seen] = probe.runMany([request]) as [Seen]
  const observation = observe(seen)
  const nothing = { rule: null, differences: [], decisions: [], alsoAs: [], perhapsAs: [], predicted: null }
  if (!('sentView' in seen)) return { expected: 'the frame’s return', observed: observation.end, ...nothing }
  // A copy: predicting may ask, and so use the session again.
  const { abi, head, fsave, fpstate } = seen.sent
  const sent = sentFrame({ abi, head, fsave, fpstate }, request.edit.primitives, probe.limits)
  const { end, after } = observation
  const kept = { end, after: after?.slice() ?? null }
  const predicted = predictAsking(subject, sent, frame.poison, policy)
  if (predicted === null) return { expected: 'nothing that could be said', observed: end, ...nothing }
  const { layout } = subject.task
  const surprise = surpriseOf(kept, predicted, layout)
  const differences = surprise === null ? [] : differencesOf(layout, kept, surprise)
  return {
    expected: endText(predicted),
    observed: observedText(end, differences),
    rule: decidedBy(predicted)?.step.rule ?? null,
    differences,
    decisions: decisionsOf(predicted.trail).map(decisionText),
    ...asWhom(subject, sent, frame.poison, kept),
    predicted,
  }
}

/** How much there is of a frame: of two that show the same, the smaller one is told. */
const sizeOf = ({ edit }: DrawnFrame): number => JSON.stringify(edit.map(plainOp)).length

/** What findings are the same by. */
export const frameKey = ({ frame: { abi, raise, edit }, observed }: Finding): string =>
  JSON.stringify([abi, raise, edit.map(plainOp), observed])

/** The smaller of two findings of one kind. */
export const smaller = <F extends Finding>(one: F, other: F): F =>
  other.repeated && (!one.repeated || sizeOf(other.frame) < sizeOf(one.frame)) ? other : one

/**
 * The finding that a frame of the run is: sent again, and shrunk where it shows again.
 * @param first what could be said when it was seen; told where it does not show again
 */
export const findingOf = (
  subject: Subject,
  frame: DrawnFrame,
  outcome: Outcome,
  index: number,
  first: FirstLook | null = null,
): Finding => {
  const kind = kindOf(outcome) as string
  const repeated = kindOf(runOne(subject, frame)) === kind
  const shrunk = repeated ? shrinkFrame(subject, frame, kind) : { frame, tries: 0 }
  const told = { index, count: 1, repeated, ...shrunk, ...tell(subject, shrunk.frame) }
  if (repeated || first === null) return told
  // What came of it when it was sent again says nothing of what came of it then.
  return { ...told, ...first, decisions: [], alsoAs: [], perhapsAs: [], predicted: null }
}
