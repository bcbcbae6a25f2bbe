/** Context switches among threads that have other values in the same component. */
import { featuresOf } from '../../contract/frames.ts'
import type { Probe } from '../../probe/session.ts'
import { diffComponents, sameMxcsr } from '../../xstate/compare.ts'
import { randomImage } from '../../xstate/random.ts'
import type { CaseContext, TrialCase } from '../selftest.ts'

const threads = 5
const rounds = 100
const leastSwitches = 3

/** Every thread must have its own values at the end, and the CPU must have changed hands. */
export const switchAmongThreads = (
  probe: Probe,
  { layout, components, seed }: CaseContext,
): ReturnType<TrialCase['trial']> => {
  const images = Array.from({ length: threads }, (_, i) =>
    randomImage(layout, { seed: seed + i, components: featuresOf(components) }),
  )
  const done = probe.contextSwitches(images, rounds)
  if (done === null) return { unable: 'the threads could not be started' }
  // How often a yield changes hands is the scheduler's business; once could be the thread's own start.
  if (done.switches < leastSwitches)
    return { unable: `the CPU changed hands ${done.switches} times in ${rounds} rounds` }
  const lost = done.after.flatMap((after, i) => {
    const before = (images[i] as (typeof images)[number]).bytes
    const names: string[] = diffComponents(before, after.bytes, layout)
    if (!sameMxcsr(before, after.bytes)) names.push('mxcsr')
    return names.map(name => `${name} of thread ${i}`)
  })
  return lost.length === 0
    ? { observed: 'as-stated', text: `${threads} threads, ${done.switches} switches each and more` }
    : { observed: 'unexplained', text: `not as before: ${lost.join(', ')}` }
}
