/** What a decision of the kernel is. */
import type { Policy } from '../policy.ts'
import type { RuleId } from '../rules.ts'
import type { Outcome } from './trail.ts'
import type { Walk } from './walk.ts'

/** `ask`: the hardware has to be asked first; `unknown`: it hangs on bytes that nobody knows. */
export type Decided = Outcome | 'ask' | 'unknown'

export interface Step {
  /** Its rule: where the sentence and the commit are. */
  readonly rule: RuleId
  /** What it can say. */
  readonly says: readonly Outcome[]
  /** What of that hardly any host lets happen: it need not be reached to have tried all. */
  readonly seldom?: readonly Outcome[]
  /** Whether kernels of a policy make it at all; all do if left out. */
  readonly when?: (policy: Policy) => boolean
  readonly decide: (walk: Walk) => Decided
}
