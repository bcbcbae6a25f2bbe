/** Narrowing the list of selftests by the same names that a run takes. */
import { matcher } from '../harness/ids.ts'
import type { Listing } from '../harness/listing.ts'
import { UsageError } from './errors.ts'

/** A pattern may name a case's abi and components too; a list knows selftests and cases alone. */
const casePattern = (pattern: string): string => pattern.split('/').slice(0, 2).join('/')

const narrow = ({ cases, ...rest }: Listing, matches: (id: string) => boolean): Listing => ({
  ...rest,
  cases: cases.filter(({ name }) => matches(`${rest.selftest}/${name}`)),
})

/** What the names select; all of it without any. @throws UsageError for a name that selects nothing */
export const selectListing = (all: readonly Listing[], names: readonly string[]): Listing[] => {
  const matchers = names.map(name => matcher(casePattern(name)))
  const selects = (id: string): boolean => matchers.length === 0 || matchers.some(matches => matches(id))
  matchers.forEach((matches, i) => {
    if (!all.some(one => narrow(one, matches).cases.length > 0))
      throw new UsageError(
        `no selftest or case is called ${JSON.stringify(names[i])}: the selftests are ${all.map(({ selftest }) => selftest).join(' ')}`,
      )
  })
  return all.map(one => narrow(one, selects)).filter(({ cases }) => cases.length > 0)
}
