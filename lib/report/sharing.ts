/**
 * Equal parts of many bundles, held once. Hosts differ little: of two thousand cases most are the same word for word,
 * and hundreds of bundles fit where dozens would.
 */
import { createHash } from 'node:crypto'
import type { Bundle, CaseResult } from '../harness/results.ts'

/** Gives the bundle again, made of what earlier ones had. */
export type Share = (bundle: Bundle) => Bundle

export const createSharing = (): Share => {
  const texts = new Map<string, string>()
  const values = new Map<string, unknown>()
  const text = <T extends string>(one: T): T => {
    const known = texts.get(one)
    if (known !== undefined) return known as T
    texts.set(one, one)
    return one
  }
  /** By a hash: keys as long as the values would take as much again. */
  const value = <T>(one: T): T => {
    if (one === null) return one
    const key = createHash('sha256').update(JSON.stringify(one)).digest('base64')
    const known = values.get(key)
    if (known !== undefined) return known as T
    values.set(key, one)
    return one
  }
  const shareCase = (one: CaseResult): CaseResult => ({
    ...one,
    id: text(one.id),
    selftest: text(one.selftest),
    case: text(one.case),
    abi: text(one.abi),
    components: value(one.components),
    placement: text(one.placement),
    rules: value(one.rules),
    verdict: text(one.verdict),
    reason: text(one.reason),
    observed: text(one.observed),
    expected: text(one.expected),
    repro: value(one.repro),
  })
  return bundle => ({ ...bundle, cases: bundle.cases.map(shareCase) })
}
