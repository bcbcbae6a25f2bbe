/** What failed, equal failures of many hosts together. Pure. */
import type { RuleId } from '../../contract/rules.ts'
import type { CaseResult, Verdict } from '../../harness/results.ts'
import { failures, groupBy, isFailure } from '../verdicts.ts'
import { mostExamples } from './bounds.ts'
import type { Place } from './places.ts'

/** A case that failed, and where. */
export interface Failed {
  readonly place: Place
  readonly one: CaseResult
}

/** Cases of the same verdict, rules, reason and expectation. */
export interface FailureGroup {
  /** Once on a page: `failure-3`. */
  readonly id: string
  readonly verdict: Verdict
  readonly rules: readonly RuleId[]
  readonly reason: string
  readonly expected: string
  /** Each once, with how often it was seen; the most frequent first. */
  readonly observed: readonly { readonly text: string; readonly count: number }[]
  /** With how many cases of it each has. */
  readonly places: readonly { readonly place: Place; readonly count: number }[]
  /** Ids of its cases, each once, with how many places have it. */
  readonly ids: readonly { readonly id: string; readonly count: number }[]
  readonly count: number
  /** Told in full. */
  readonly examples: readonly Failed[]
}

const counted = <T>(things: readonly T[], keyOf: (thing: T) => string): { thing: T; count: number }[] =>
  [...groupBy(things, keyOf).values()].map(alike => ({ thing: alike[0] as T, count: alike.length }))

/** Those with bytes first, of different selftests where there are. */
const examplesOf = (failed: readonly Failed[]): Failed[] => {
  const told = failed.toSorted((a, b) => Number(a.one.bytes === null) - Number(b.one.bytes === null))
  const different = counted(told, ({ one }) => `${one.selftest}/${one.case}`).map(({ thing }) => thing)
  return [...different, ...told.filter(one => !different.includes(one))].slice(0, mostExamples)
}

const groupOf = (failed: readonly Failed[], i: number): FailureGroup => {
  const { one } = failed[0] as Failed
  return {
    id: `failure-${i}`,
    verdict: one.verdict,
    rules: one.rules,
    reason: one.reason,
    expected: one.expected,
    observed: counted(failed, each => each.one.observed)
      .map(({ thing, count }) => ({ text: thing.one.observed, count }))
      .toSorted((a, b) => b.count - a.count),
    places: counted(failed, ({ place }) => place.id).map(({ thing, count }) => ({
      place: thing.place,
      count,
    })),
    ids: counted(failed, each => each.one.id).map(({ thing, count }) => ({ id: thing.one.id, count })),
    count: failed.length,
    examples: examplesOf(failed),
  }
}

/** The worst verdict first, then what most hosts have. */
export const failureGroups = (places: readonly Place[]): FailureGroup[] => {
  const failed = places.flatMap(place => place.cases.filter(isFailure).map(one => ({ place, one })))
  const groups = groupBy(failed, ({ one: { verdict, rules, reason, expected } }) =>
    JSON.stringify([verdict, rules, reason, expected]),
  )
  const rank = ([{ one }]: readonly [Failed, ...Failed[]]): number =>
    (failures as readonly Verdict[]).indexOf(one.verdict)
  const placesOf = (group: readonly Failed[]): number => new Set(group.map(({ place }) => place.id)).size
  return ([...groups.values()] as [Failed, ...Failed[]][])
    .toSorted((a, b) => rank(a) - rank(b) || placesOf(b) - placesOf(a) || b.length - a.length)
    .map(groupOf)
}
