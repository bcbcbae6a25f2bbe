/** What becomes of one frame of a pair, predicted or seen. */
import type { RuleId } from '../contract/rules.ts'
import type { PairSeen } from './matrix.ts'

/**
 * `returned`: the task goes on with what arrived; `killed`: it has no chance to handle its signal, or no memory to do so
 * in.
 */
export type FateEnd = 'returned' | 'rejected' | 'killed' | 'unknown'

export interface Fate {
  readonly end: FateEnd
  /** Whether the legacy region alone was restored. */
  readonly fxOnly: boolean
  /** The rule that had the last word on it; null where none had, or nobody knows. */
  readonly rule: RuleId | null
  /** How it ends, in one line. */
  readonly text: string
  /** As in `PairFrame`. */
  readonly lost: readonly string[]
  readonly unknown: readonly string[]
  readonly leftOver: readonly string[]
  readonly seen: PairSeen | null
}

/** Whether all that the frame had in use is in the registers, and nothing else is. */
export const isWhole = ({ end, lost, unknown, leftOver }: Fate): boolean =>
  end === 'returned' && lost.length + unknown.length + leftOver.length === 0
