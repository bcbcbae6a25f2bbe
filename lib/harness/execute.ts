/** Runs one case: the frame and its witness, one after the other, and what they say together. */
import { classify, indistinct, witnessOps } from '../contract/classify.ts'
import { featuresOf } from '../contract/frames.ts'
import type { Observed } from '../contract/treatment.ts'
import { frameShape } from '../frame/abi.ts'
import { applyPrimitives } from '../frame/apply.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditOp, Primitive } from '../frame/edit.ts'
import { restorable } from '../frame/reader.ts'
import type { Recorded, Seen } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { diffComponents, sameMxcsr } from '../xstate/compare.ts'
import { randomImage } from '../xstate/random.ts'
import { type CaseContext, type FrameCase, isTrial, type SelftestCase, type TrialCase } from './selftest.ts'

/** What running a case gave. `lost`: the probe process went with it. `unable`: the host did not let it run. */
export type Execution =
  | { readonly kind: 'observed'; readonly observed: Observed; readonly text: string }
  | { readonly kind: 'lost'; readonly how: 'crash' | 'timeout' | 'stuck'; readonly text: string }
  | { readonly kind: 'unable'; readonly text: string }
  | { readonly kind: 'broken'; readonly text: string }

/** The edit with its witness's operations behind it. */
export const withWitness = (edit: readonly EditOp[]): readonly EditOp[] => [...edit, ...witnessOps]

/** Why a probe of a case has no treatment to be classified, or null where it has. */
const lostBy = (seen: Seen): Execution | null => {
  switch (seen.kind) {
    case 'died':
      // A throw-away fork may die of what it was made for.
      if (seen.where !== null) return null
      return {
        kind: 'lost',
        how: 'crash',
        text: `the probe process died of ${seen.signal ?? `exit code ${seen.code}`}`,
      }
    case 'timeout':
      return { kind: 'lost', how: 'timeout', text: `no progress within ${seen.timeoutMs} ms` }
    case 'stuck':
      return { kind: 'lost', how: 'stuck', text: `SIGKILL did not end the probe process (pid ${seen.pid})` }
    case 'refused':
      return { kind: 'unable', text: `${seen.call} is refused here with ${seen.errno}` }
    default:
      return null
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** The head as it was meant: the pointer in it is the session's business. */
const headAsMeant = ({ written, sent, abi }: Recorded, primitives: readonly Primitive[]): boolean => {
  const { at, width } = frameShape(abi).fields.fpstate
  const meant = applyPrimitives(written.head, primitives, 'head')
  const pointer = sent.head.subarray(at, at + width)
  meant.set(pointer, at)
  return sameBytes(meant, sent.head)
}

/** Whether the frame that was sent is the frame that was meant: its bytes, where they lay, and what led to them. */
const sentAsMeant = (probe: Probe, seen: Recorded, edit: readonly EditOp[]): boolean => {
  const { primitives } = compileEdit(edit, probe.layout, probe.limits, 'edit', seen.abi)
  const { written, sent } = seen
  const buffer = primitives.some(({ code }) => code === 'move') ? 'spare' : 'stack'
  const repointed = primitives.some(({ code }) => code === 'pointer' || code === 'offset')
  const { sentFrom } = seen
  return (
    sameBytes(applyPrimitives(written.fpstate, primitives), sent.fpstate) &&
    (written.fsave === null ||
      sent.fsave === null ||
      sameBytes(applyPrimitives(written.fsave, primitives, 'fsave'), sent.fsave)) &&
    headAsMeant(seen, primitives) &&
    sentFrom.buffer === buffer &&
    (repointed || sentFrom.pointed)
  )
}

const misfit = (probe: Probe, seen: Seen, edit: readonly EditOp[]): Execution | null => {
  const lost = lostBy(seen)
  if (lost !== null) return lost
  if ('sent' in seen)
    return sentAsMeant(probe, seen, edit)
      ? null
      : { kind: 'broken', text: 'the frame sent is not the frame meant' }
  // Without a frame there is one thing that a case can be about: that it was not delivered.
  if (seen.kind === 'signal' && seen.where === 'delivery') return null
  const what = seen.kind === 'signal' ? `${seen.signal} at ${seen.where}` : seen.kind
  return { kind: 'observed', observed: 'unexplained', text: `${what} before a frame was sent` }
}

/**
 * A frame that has not what was in the registers, or null. What its return restores would prove nothing of them: the
 * delivery lost it.
 */
const lostAtDelivery = (seen: Seen): Execution | null => {
  if (!('written' in seen)) return null
  const { written, before, layout } = seen
  const names: string[] = diffComponents(restorable(written), before.bytes, layout)
  if (!sameMxcsr(written.fpstate, before.bytes)) names.push('mxcsr')
  if (names.length === 0) return null
  const text = `the frame as the kernel wrote it has not what was in the registers: ${names.join(' ')}`
  return { kind: 'observed', observed: 'unexplained', text }
}

/** What `load` a case has: its own, its components, or all of the task's. */
export const loadOf = (test: FrameCase, context: CaseContext) =>
  test.load?.(context) ??
  randomImage(context.layout, {
    seed: context.seed,
    components: test.loadOnly === true ? featuresOf(context.components) : undefined,
  })

/** How often a case that needs luck is tried. */
const mostTries = 20

/** What a pair of probes did not reach, or null. */
const missed = (test: FrameCase, pair: readonly Seen[]): string | null => {
  for (const seen of pair) {
    const problem = 'sent' in seen ? (test.reached?.(seen) ?? null) : null
    if (problem !== null) return problem
  }
  return null
}

/** What signal came where the case leads to another one, or null. */
const otherSignal = ({ signal }: FrameCase, pair: readonly Seen[]): string | null => {
  if (signal === undefined) return null
  const other = pair.find(seen => seen.kind !== 'signal' || seen.signal !== signal)
  if (other === undefined) return null
  return `${other.kind === 'signal' ? other.signal : other.kind} instead of ${signal}`
}

/** The frame and its witness through a session's kernel. */
const executeFrame = (
  probe: Probe,
  test: FrameCase,
  context: CaseContext,
  onPair: ((pair: readonly [Seen, Seen]) => void) | undefined,
): Execution => {
  const { layout } = probe
  const edit = test.edit(context)
  const edits = [edit, withWitness(edit)] as const
  const { raise, stack, poison, shadowStack } = test
  const request = {
    abi: context.abi,
    load: loadOf(test, context),
    ...(raise === undefined ? {} : { raise }),
    ...(shadowStack === undefined ? {} : { shadowStack }),
    ...(stack === undefined ? {} : { stack: stack(context) }),
    ...(poison === undefined ? {} : { poison: poison(context) }),
  }
  const run = () => probe.runMany(edits.map(one => ({ ...request, edit: one }))) as [Seen, Seen]
  let [seen, witness] = run()
  for (let tries = 1; missed(test, [seen, witness]) !== null; tries++) {
    if (tries === mostTries)
      return { kind: 'unable', text: `in ${tries} tries ${missed(test, [seen, witness])}` }
    ;[seen, witness] = run()
  }
  const wrong = misfit(probe, seen, edits[0]) ?? misfit(probe, witness, edits[1])
  if (wrong !== null) return wrong
  // What never was in the frame says nothing of its return.
  const lost = lostAtDelivery(seen) ?? lostAtDelivery(witness)
  if (lost !== null) return lost
  onPair?.([seen, witness])
  const other = otherSignal(test, [seen, witness])
  if (other !== null) return { kind: 'observed', observed: 'unexplained', text: other }
  if (seen.kind === 'returned' && witness.kind === 'returned') {
    const same = seen.sent.fpstatePointer === 0n ? null : indistinct(seen, witness, layout)
    if (same !== null) return { kind: 'broken', text: same }
    const problem = test.verify?.(seen, context) ?? null
    if (problem !== null) return { kind: 'observed', observed: 'unexplained', text: problem }
  }
  return { kind: 'observed', ...classify(seen, witness, layout) }
}

const executeTrial = (probe: Probe, test: TrialCase, context: CaseContext): Execution => {
  const done = test.trial(probe, context)
  if ('unable' in done) return { kind: 'unable', text: done.unable }
  return 'lost' in done ? { kind: 'lost', how: done.lost, text: done.text } : { kind: 'observed', ...done }
}

/**
 * Runs a case in a session. A case that throws is broken itself; the others go on.
 * @param onPair gets the frame and its witness, where they were sent as they were meant
 */
export const executeCase = (
  probe: Probe,
  test: SelftestCase,
  context: CaseContext,
  onPair?: (pair: readonly [Seen, Seen]) => void,
): Execution => {
  try {
    return isTrial(test) ? executeTrial(probe, test, context) : executeFrame(probe, test, context, onPair)
  } catch (error) {
    return { kind: 'broken', text: error instanceof Error ? error.message : String(error) }
  }
}
