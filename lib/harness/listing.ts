/** The selftests and their cases, without running them. */
import type { RuleId } from '../contract/rules.ts'
import { loadSelftests } from './selftests.ts'

/** What a selftest has to offer, without running it: works on any machine. */
export interface Listing {
  readonly selftest: string
  readonly summary: string
  readonly cases: readonly {
    readonly name: string
    readonly summary: string
    /** Empty where the rule depends on the components. */
    readonly rules: readonly RuleId[]
    readonly commit: string
  }[]
}

export const listSelftests = async (): Promise<readonly Listing[]> =>
  (await loadSelftests()).map(({ name, summary, cases }) => ({
    selftest: name,
    summary,
    cases: Object.entries(cases).map(([caseName, { summary, rule, commit }]) => ({
      name: caseName,
      summary,
      rules: typeof rule === 'string' ? [rule] : [],
      commit,
    })),
  }))
