/** Counts how often a frame is rejected whose page another CPU evicts while it is returned. */
import type { EditOp } from '../../frame/edit.ts'
import type { Probe } from '../../probe/session.ts'
import { randomImage } from '../../xstate/random.ts'
import type { CaseContext, TrialCase } from '../selftest.ts'

/** Tries of the first fork; the next has twice as many where it was quick, for emulated CPUs are slow. */
const firstTries = 250
const mostTries = 20_000
const quickMs = 250
/** How long all of it may take. */
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
  let now = performance.now()
  const until = now + budgetMs
  let tries = firstTries
  let done = 0
  let refused = 0
  while (now < until) {
    const counted = probe.repeat(request, tries)
    if (counted === null)
      return { observed: 'unexplained', text: `after ${done} tries one did not come to its end` }
    done += counted.done
    refused += counted.refused
    const started = now
    now = performance.now()
    if (now - started < quickMs) tries = Math.min(2 * tries, mostTries)
  }
  if (done === 0) return { unable: 'no frame was returned from in time' }
  return { observed: 'as-stated', text: `${refused} of ${done} good frames were rejected` }
}
