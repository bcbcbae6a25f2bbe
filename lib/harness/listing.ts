/** The selftests and their cases, without running them. */
import { type PastBug, pastBugs } from '../contract/history.ts'
import type { RuleId } from '../contract/rules.ts'
import { type Abi, abis } from '../frame/abi.ts'
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
    /** Whose frames it sends. */
    readonly abis: readonly Abi[]
    /** Whether it runs with --long alone. */
    readonly long: boolean
  }[]
}

export const listSelftests = async (): Promise<readonly Listing[]> =>
  (await loadSelftests()).map(({ name, summary, cases }) => ({
    selftest: name,
    summary,
    cases: Object.entries(cases).map(([caseName, { summary, rule, commit, long = false, ...rest }]) => ({
      name: caseName,
      summary,
      rules: typeof rule === 'string' ? [rule] : [],
      commit,
      abis: rest.abis ?? abis,
      long,
    })),
  }))

/** The past bugs that some of these cases would have caught. */
export const historyOf = (listings: readonly Listing[]): readonly PastBug[] => {
  const listed = new Set(
    listings.flatMap(({ selftest, cases }) => cases.map(({ name }) => `${selftest}/${name}`)),
  )
  return pastBugs.filter(({ cases }) => cases.some(one => listed.has(one)))
}
