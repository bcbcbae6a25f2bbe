/**
 * What a selftest is: a descriptor. It says which frames to send and which rule each reaches; how they are run,
 * judged and reported is the runner's business, and the same for every selftest.
 */
import type { RuleId } from '../contract/rules.ts'
import type { EditOp } from '../frame/edit.ts'
import type { Returned } from '../probe/result.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'

/** The extended components that one case is about, and what a frame needs to be made of them. */
export interface CaseContext {
  readonly layout: Layout
  /** What CPUID says that the layout should be. */
  readonly expected: Layout
  /** Extended components, lowest bit first. May be empty: then the case is about x87 and SSE alone. */
  readonly components: readonly ComponentName[]
  /** Seed of whatever is random. */
  readonly seed: number
}

export interface SelftestCase {
  /** What is verified, in one sentence. */
  readonly summary: string
  /** The rule that the frame reaches. */
  readonly rule: RuleId | ((context: CaseContext) => RuleId)
  /** The commit or message that the case comes from. */
  readonly commit: string
  readonly edit: (context: CaseContext) => readonly EditOp[]
  /** Where the fpstate lies when it is sent. */
  readonly placement?: 'stack' | 'spare' | 'guard'
  /** Runs without any extended component too: a frame of x87 and SSE alone. */
  readonly withLegacy?: boolean
  /** Loads only the case's components; otherwise all that the task has. */
  readonly loadOnly?: boolean
  /** Verifies more than registers. @returns what is wrong, or null */
  readonly verify?: (seen: Returned, context: CaseContext) => string | null
}

export interface Selftest {
  readonly name: string
  /** What it verifies, in one sentence. */
  readonly summary: string
  /** Its cases run for every extended component and for combinations, or once with all of them. */
  readonly variants: 'each component' | 'once'
  readonly cases: Readonly<Record<string, SelftestCase>>
}

export const selftest = (name: string, rest: Omit<Selftest, 'name'>): Selftest =>
  Object.freeze({ name, ...rest })
