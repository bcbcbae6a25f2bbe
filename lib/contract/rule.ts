/** What a rule of the contract is. */
import type { Policy } from './policy.ts'
import type { ProposalId } from './proposals.ts'
import type { Treatment } from './treatment.ts'

/**
 * Whether every good kernel keeps a rule, newer ones alone (by generation, or by the version that brought it), or none
 * that is merged.
 */
export type RuleStatus = 'established' | 'since portable' | `since ${number}.${number}` | 'proposed'

export interface Rule {
  readonly id: string
  readonly sentence: string
  readonly status: RuleStatus
  /** What the kernel does where the rule holds. */
  readonly holds: Treatment
  /** For a rule that not all generations keep: which frames it is about, as a noun phrase behind which a verb stands. */
  readonly situation?: string
  /** For such a rule: what kernels of a policy do. */
  readonly under?: (policy: Policy) => Treatment
  /** For a rule that no generation brought: what kernels did before, or do still. */
  readonly before?: readonly Treatment[]
  /** The patch series that proposes it, by the name that `--require` takes; left out where it is a generation's. */
  readonly proposal?: ProposalId
  /** What was seen is worth reading where the rule holds, too. */
  readonly tells?: true
  /** The commit that brought it, or the message that proposes it; for old rules where the code is. */
  readonly commit: string
}
