import { describe, expect, test } from 'vitest'
import { type GenerationId, generationOf, generations } from '../../lib/contract/generations.ts'
import { isOf32, steps } from '../../lib/contract/predict/predict.ts'
import { markOf, type Outcome, outcomes } from '../../lib/contract/predict/trail.ts'
import type { RuleId } from '../../lib/contract/rules.ts'
import { type Abi, abis } from '../../lib/frame/abi.ts'
import { type Covered, countTrail, coverageOf, createCounts, missedOf } from '../../lib/fuzz/coverage.ts'

const policyOf = (id: GenerationId) => generationOf(id).policy
const none = createCounts()

const indexOf = (rule: RuleId, of32: boolean | null = null): number =>
  steps.findIndex((step, i) => step.rule === rule && isOf32(i) === of32)

const rowOf = (coverage: readonly Covered[], rule: RuleId, of: Covered['of'] = 'all'): Covered | undefined =>
  coverage.find(one => one.rule === rule && one.of === of)

const countOf = (row: Covered | undefined, wanted: Outcome): number | undefined =>
  row?.said.find(({ outcome }) => outcome === wanted)?.count

describe('what trails say is counted', () => {
  test('each step by what it said, and no other', () => {
    const counts = createCounts()
    for (const [i, { says }] of steps.entries())
      for (const [k, outcome] of says.entries())
        for (let times = 0; times <= k + i; times++) countTrail(counts, [markOf(i, outcome)])
    const coverage = coverageOf(counts, policyOf('portable'), abis)
    for (const { rule, of, said } of coverage) {
      const i = indexOf(rule, of === 'all' ? null : of === '32-bit')
      expect(said).toEqual(steps[i]?.says.map((outcome, k) => ({ outcome, count: k + i + 1 })))
    }
  })

  test('a trail is counted mark by mark, and nothing comes of an empty one', () => {
    const counts = createCounts()
    const magic1 = indexOf('magic1-is-required')
    countTrail(counts, [])
    expect(counts).toEqual(none)
    countTrail(counts, [markOf(0, 'passes'), markOf(1, 'passes'), markOf(magic1, 'fx-only')])
    countTrail(counts, [markOf(0, 'init')])
    const coverage = coverageOf(counts, policyOf('classic'), ['x86_64'])
    const first = rowOf(coverage, 'null-fpstate-is-init')
    expect([countOf(first, 'passes'), countOf(first, 'init')]).toEqual([1, 1])
    expect(countOf(rowOf(coverage, 'magic1-is-required'), 'fx-only')).toBe(1)
    expect(coverage.flatMap(({ said }) => said).reduce((sum, { count }) => sum + count, 0)).toBe(4)
  })

  test('there is room for every outcome of every step', () => {
    const counts = createCounts()
    for (let i = 0; i < steps.length; i++)
      for (const outcome of outcomes) countTrail(counts, [markOf(i, outcome)])
    expect(counts.filter(count => count === 1)).toHaveLength(steps.length * outcomes.length)
  })
})

describe('decisions that are told of', () => {
  test.each(generations.map(({ id }) => id))('of %s kernels: those that they make, each once', id => {
    const policy = policyOf(id)
    const coverage = coverageOf(none, policy, abis)
    const made = steps.filter(({ when }) => when === undefined || when(policy))
    expect(coverage.map(({ rule }) => rule)).toEqual(made.map(({ rule }) => rule))
    expect(new Set(coverage.map(({ rule, of }) => `${rule} ${of}`)).size).toBe(coverage.length)
  })

  test('kernels that do not look at the frame’s sizes have no decision on them', () => {
    const regressed = coverageOf(none, policyOf('regressed'), abis)
    const classic = coverageOf(none, policyOf('classic'), abis)
    for (const rule of ['size-below-576-is-fx-only', 'size-above-user-size-is-fx-only'] as const) {
      expect(rowOf(regressed, rule)).toBeUndefined()
      expect(rowOf(classic, rule)).toBeDefined()
    }
    expect(rowOf(classic, 'too-small-is-rejected')).toBeUndefined()
    expect(rowOf(coverageOf(none, policyOf('portable'), abis), 'too-small-is-rejected')).toBeDefined()
    expect(
      rowOf(coverageOf(none, policyOf('larger'), abis), 'size-above-user-size-is-fx-only'),
    ).toBeUndefined()
  })

  test.each<[readonly Abi[], readonly Covered['of'][]]>([
    [['x86_64'], ['all', '64-bit']],
    [['x32'], ['all', '64-bit']],
    [['ia32'], ['all', '32-bit']],
    [['ia32-rt'], ['all', '32-bit']],
    [
      ['x86_64', 'ia32'],
      ['all', '64-bit', '32-bit'],
    ],
  ])('of %j frames alone', (some, wanted) => {
    const coverage = coverageOf(none, policyOf('classic'), some)
    expect(new Set(coverage.map(({ of }) => of))).toEqual(new Set(wanted))
  })
})

describe('what was not reached', () => {
  const policy = policyOf('portable')
  const all = () => coverageOf(none, policy, abis)

  test('all of it where nothing was sent, but what hardly any host lets happen', () => {
    const missed = missedOf(all())
    const wanted = steps.flatMap(({ says, seldom = [] }) => says.filter(said => !seldom.includes(said)))
    expect(missed.map(({ outcome }) => outcome)).toEqual(wanted)
    expect(missed).not.toContainEqual({ rule: 'hardware-judges-contents', of: '64-bit', outcome: 'rejected' })
    expect(missed).not.toContainEqual({ rule: 'hardware-judges-contents', of: '32-bit', outcome: 'rejected' })
    expect(missed).toContainEqual({ rule: 'hardware-judges-contents', of: '32-bit', outcome: 'passes' })
  })

  test('an outcome that was reached once is not missed, the others of its decision are', () => {
    const counts = createCounts()
    countTrail(counts, [markOf(indexOf('reserved-mxcsr-is-rejected', true), 'rejected')])
    const missed = missedOf(coverageOf(counts, policy, abis))
    const ofMxcsr = missed.filter(({ rule }) => rule === 'reserved-mxcsr-is-rejected')
    expect(ofMxcsr).toEqual([
      { rule: 'reserved-mxcsr-is-rejected', of: '64-bit', outcome: 'passes' },
      { rule: 'reserved-mxcsr-is-rejected', of: '64-bit', outcome: 'rejected' },
      { rule: 'reserved-mxcsr-is-rejected', of: '32-bit', outcome: 'passes' },
    ])
    expect(missedOf(all()).length - missed.length).toBe(1)
  })

  test('nothing where everything was', () => {
    const counts = createCounts()
    for (const [i, { says }] of steps.entries())
      countTrail(
        counts,
        says.map(said => markOf(i, said)),
      )
    expect(missedOf(coverageOf(counts, policy, abis))).toEqual([])
  })

  test('of frames that were not wanted nothing is', () => {
    expect(missedOf(coverageOf(none, policy, ['x86_64'])).some(({ of }) => of === '32-bit')).toBe(false)
  })
})
