/** How large an alternate signal stack must be, found by trying. */
import type { Seen } from '../../probe/result.ts'
import type { Probe } from '../../probe/session.ts'
import { randomImage } from '../../xstate/random.ts'
import type { CaseContext, TrialCase } from '../selftest.ts'

type Found = ReturnType<TrialCase['trial']>

const describe = (seen: Seen): string => {
  if (seen.kind === 'refused') return `${seen.call}: ${seen.errno}`
  return seen.kind === 'signal' ? `${seen.signal} at ${seen.where}` : seen.kind
}

const onto = (probe: Probe, { abi, layout, seed }: CaseContext, bytes: number): Seen =>
  probe.runSync({ abi, load: randomImage(layout, { seed }), stack: { bytes } })

/** Whether every component came back. */
const isWhole = (seen: Seen): boolean =>
  seen.kind === 'returned' && seen.layout.components.every(({ name }) => seen.state(name).restored)

/** The least stack that a frame fits, between one that is too small and one that is not. */
const leastBetween = (probe: Probe, context: CaseContext, small: number, large: number): number => {
  let [low, high] = [small, large]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (isWhole(onto(probe, context, middle))) high = middle
    else low = middle
  }
  return high
}

/** Whether a stack of so many bytes takes the task's frame, and how many it really takes. */
export const deliverable = (probe: Probe, context: CaseContext, bytes: number): Found => {
  const seen = onto(probe, context, bytes)
  if (!isWhole(seen)) return { observed: 'unexplained', text: `with ${bytes} bytes: ${describe(seen)}` }
  const least = leastBetween(probe, context, 0, bytes)
  return {
    observed: 'as-stated',
    text: `AT_MINSIGSTKSZ is ${context.cpu.minSignalStack}, ${least} are enough`,
  }
}

/** Whether sigaltstack refuses less than so many bytes, with the errno that sigaltstack(2) has for it. */
export const refusedBelow = (probe: Probe, context: CaseContext, bytes: number): Found => {
  for (const size of [1, bytes - 1]) {
    const seen = onto(probe, context, size)
    if (seen.kind !== 'refused' || seen.call !== 'sigaltstack' || seen.errno !== 'ENOMEM')
      return { observed: 'unexplained', text: `with ${size} bytes: ${describe(seen)}` }
  }
  return { observed: 'as-stated', text: `1 and ${bytes - 1} bytes: ENOMEM` }
}
