/** Which cases are meant by names. */
import { outOfRange } from '../errors.ts'
import { matcher } from './ids.ts'

/** The selected cases. @throws RangeError for a pattern that selects none, naming what there is */
export const select = <T extends { readonly id: string }>(
  cases: readonly T[],
  patterns: readonly string[],
  names: readonly string[],
): T[] => {
  const matchers = patterns.map(matcher)
  matchers.forEach((matches, i) => {
    if (!cases.some(({ id }) => matches(id)))
      throw outOfRange('name', patterns[i], `which selects no case: the selftests are ${names.join(' ')}`)
  })
  return patterns.length === 0 ? [...cases] : cases.filter(({ id }) => matchers.some(matches => matches(id)))
}
