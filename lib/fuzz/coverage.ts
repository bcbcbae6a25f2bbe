/** Which outcomes of which decision were reached, and how often. */
import type { Policy } from '../contract/policy.ts'
import { isOf32, madeBy, steps } from '../contract/predict/predict.ts'
import { type Mark, markOf, type Outcome } from '../contract/predict/trail.ts'
import type { RuleId } from '../contract/rules.ts'
import { type Abi, isIa32 } from '../frame/abi.ts'

/** Counts by mark. */
export type Counts = Float64Array

const highestMark = 8

export const createCounts = (): Counts => new Float64Array(steps.length * highestMark)

export const countTrail = (counts: Counts, trail: readonly Mark[]): void => {
  for (const mark of trail) counts[mark] = (counts[mark] as number) + 1
}

/** What one decision said, and how often. */
export interface Covered {
  readonly rule: RuleId
  /** Whose frames come to it. */
  readonly of: 'all' | '64-bit' | '32-bit'
  readonly said: readonly { readonly outcome: Outcome; readonly count: number }[]
}

const frames = (index: number): Covered['of'] => {
  const of32 = isOf32(index)
  return of32 === null ? 'all' : of32 ? '32-bit' : '64-bit'
}

const comes = (index: number, abis: readonly Abi[]): boolean => {
  const of32 = isOf32(index)
  return of32 === null || abis.some(abi => isIa32(abi) === of32)
}

/** Every decision that kernels of a policy make on frames of these ABIs. */
export const coverageOf = (counts: Counts, policy: Policy, abis: readonly Abi[]): Covered[] => {
  const made = madeBy(policy)
  return steps.flatMap(({ rule, says }, i) => {
    if (made[i] !== true || !comes(i, abis)) return []
    const said = says.map(outcome => ({ outcome, count: counts[markOf(i, outcome)] as number }))
    return [{ rule, of: frames(i), said }]
  })
}

/** What was not reached, though it can be on any host. */
export const missedOf = (
  coverage: readonly Covered[],
): { rule: RuleId; of: Covered['of']; outcome: Outcome }[] =>
  coverage.flatMap(({ rule, of, said }) => {
    const seldom = steps.find((step, i) => step.rule === rule && frames(i) === of)?.seldom ?? []
    return said
      .filter(({ outcome, count }) => count === 0 && !seldom.includes(outcome))
      .map(({ outcome }) => ({ rule, of, outcome }))
  })
