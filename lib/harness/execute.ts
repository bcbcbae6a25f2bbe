/** Runs one case: the frame and its witness, one after the other, and what they say together. */
import { classify, indistinct, witnessOps } from '../contract/classify.ts'
import { featuresOf } from '../contract/frames.ts'
import type { Observed } from '../contract/treatment.ts'
import { applyPrimitives } from '../frame/apply.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditOp } from '../frame/edit.ts'
import type { Returned, Seen, Signalled } from '../probe/result.ts'
import type { Probe } from '../probe/session.ts'
import { randomImage } from '../xstate/random.ts'
import type { CaseContext, SelftestCase } from './selftest.ts'

/** What running a case gave. `lost`: the probe process went with it. */
export type Execution =
  | { readonly kind: 'observed'; readonly observed: Observed; readonly text: string }
  | { readonly kind: 'lost'; readonly how: 'crash' | 'timeout' | 'stuck'; readonly text: string }
  | { readonly kind: 'broken'; readonly text: string }

/** The edit with its witness's operations behind it. */
export const withWitness = (edit: readonly EditOp[]): readonly EditOp[] => [...edit, ...witnessOps]

const hasFrames = (seen: Seen): seen is Returned | Signalled =>
  seen.kind === 'returned' || (seen.kind === 'signal' && seen.where === 'sigreturn')

const lostBy = (seen: Seen): Execution | null => {
  switch (seen.kind) {
    case 'died':
      return {
        kind: 'lost',
        how: 'crash',
        text: `the probe process died of ${seen.signal ?? `exit code ${seen.code}`}`,
      }
    case 'timeout':
      return { kind: 'lost', how: 'timeout', text: `no progress within ${seen.timeoutMs} ms` }
    case 'stuck':
      return { kind: 'lost', how: 'stuck', text: `SIGKILL did not end the probe process (pid ${seen.pid})` }
    default:
      return null
  }
}

/** Whether the frame that was sent is the frame that was meant: its bytes, where they lay, and what led to them. */
const sentAsMeant = (
  probe: Probe,
  seen: Returned | Signalled,
  edit: readonly EditOp[],
  placement: SelftestCase['placement'],
): boolean => {
  const { primitives } = compileEdit(edit, probe.layout, probe.limits)
  const meant = applyPrimitives(seen.written.fpstate, primitives)
  const buffer = placement === undefined || placement === 'stack' ? 'stack' : 'spare'
  const repointed = primitives.some(({ code }) => code === 'pointer' || code === 'offset')
  const { sentFrom } = seen
  return (
    Buffer.compare(meant, seen.sent.fpstate) === 0 &&
    sentFrom.buffer === buffer &&
    (repointed || sentFrom.pointed)
  )
}

const misfit = (
  probe: Probe,
  { seen, edit }: { readonly seen: Seen; readonly edit: readonly EditOp[] },
  { placement }: SelftestCase,
): Execution | null => {
  const lost = lostBy(seen)
  if (lost !== null) return lost
  if (!hasFrames(seen))
    return { kind: 'observed', observed: 'unexplained', text: `${seen.kind} before a frame was there` }
  return sentAsMeant(probe, seen, edit, placement)
    ? null
    : { kind: 'broken', text: 'the frame sent is not the frame meant' }
}

/** What `load` a case has: its components, or all of the task's. */
const loadOf = (test: SelftestCase, context: CaseContext) =>
  randomImage(context.layout, {
    seed: context.seed,
    components: test.loadOnly === true ? featuresOf(context.components) : undefined,
  })

/** The frame and its witness through a session's kernel. */
export const executeCase = (probe: Probe, test: SelftestCase, context: CaseContext): Execution => {
  const { layout } = probe
  const edit = test.edit(context)
  const load = loadOf(test, context)
  const edits = [edit, withWitness(edit)] as const
  const [seen, witness] = probe.runMany(edits.map(one => ({ load, edit: one }))) as [Seen, Seen]
  const wrong =
    misfit(probe, { seen, edit: edits[0] }, test) ?? misfit(probe, { seen: witness, edit: edits[1] }, test)
  if (wrong !== null) return wrong
  if (seen.kind === 'returned' && witness.kind === 'returned') {
    const same = indistinct(seen, witness, layout)
    if (same !== null) return { kind: 'broken', text: same }
    const problem = test.verify?.(seen, context) ?? null
    if (problem !== null) return { kind: 'observed', observed: 'unexplained', text: problem }
  }
  return { kind: 'observed', ...classify(seen, witness, layout) }
}
