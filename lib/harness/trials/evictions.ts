/** Counts how often a frame is rejected whose page another CPU evicts while it is returned. */
import type { EditOp } from '../../frame/edit.ts'
import type { Probe } from '../../probe/session.ts'
import { randomImage } from '../../xstate/random.ts'
import type { CaseContext, TrialCase } from '../selftest.ts'

/** Tries of one fork, and how long all of it may take: emulated CPUs are slow. */
const triesAtOnce = 20_000
const budgetMs = 5000

/** As many tries as there is time for: evidence, never a verdict. */
export const countEvictions = (
  probe: Probe,
  { abi, layout, seed }: CaseContext,
  edit: readonly EditOp[],
): ReturnType<TrialCase['trial']> => {
  const request = probe.prepare({ abi, load: randomImage(layout, { seed }), edit })
  const first = probe.runSync(request)
  if (first.kind === 'refused') return { unable: `${first.call} is refused here with ${first.errno}` }
  const until = performance.now() + budgetMs
  let done = 0
  let refused = 0
  while (performance.now() < until) {
    const counted = probe.repeat(request, triesAtOnce)
    if (counted === null)
      return { observed: 'unexplained', text: `after ${done} tries one did not come to its end` }
    done += counted.done
    refused += counted.refused
  }
  return { observed: 'as-stated', text: `${refused} of ${done} good frames were rejected` }
}
