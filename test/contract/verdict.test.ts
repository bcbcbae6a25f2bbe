import { describe, expect, test } from 'vitest'
import { demandOf, requirable, tellingRules } from '../../lib/contract/demand.ts'
import { behaviour, type GenerationId, generationOf, generations } from '../../lib/contract/generations.ts'
import { type RuleId, ruleOf, rules } from '../../lib/contract/rules.ts'
import type { Observed } from '../../lib/contract/treatment.ts'
import { type Demands, judge } from '../../lib/contract/verdict.ts'

const none: Demands = { require: null, held: new Set<RuleId>() }
const verdictOn = (rule: RuleId, observed: Observed, generation: GenerationId, demands = none) =>
  judge(rule, observed, generationOf(generation), demands)

describe('judge', () => {
  test.each(generations.map(one => [one.id, one] as const))(
    'a kernel that is %s throughout',
    (_, generation) => {
      for (const { id, status } of rules) {
        const { verdict } = judge(id, behaviour(generation, id), generation, none)
        const holds = behaviour(generation, id) === ruleOf(id).holds
        const superseded = status === 'established' && !holds && generation.harm === undefined
        const expected = holds || superseded ? 'pass' : status === 'established' ? 'fail' : 'xfail'
        expect(`${id} ${verdict}`).toBe(`${id} ${expected}`)
      }
    },
  )

  test('only a regressed kernel fails without demands', () => {
    const failing = generations.filter(generation =>
      rules.some(({ id }) => judge(id, behaviour(generation, id), generation, none).verdict === 'fail'),
    )
    expect(failing.map(({ id }) => id)).toEqual(['regressed'])
  })

  test('a lost upper YMM names the commits that broke and repaired it', () => {
    const { verdict, reason } = verdictOn('shrunk-frame-restores', 'fx-only', 'regressed')
    expect(verdict).toBe('fail')
    expect(reason).toContain('dc8aa31a7ac2')
    expect(reason).toContain('44eeff9bc467')
  })

  test('an xfail names the commit that brings the rule', () => {
    const { verdict, reason } = verdictOn('too-small-is-rejected', 'restored', 'classic')
    expect(verdict).toBe('xfail')
    expect(reason).toContain('391cac638edd')
  })

  test('a backport passes, and is noted', () => {
    const { verdict, reason } = verdictOn('too-small-is-rejected', 'rejected', 'classic')
    expect(verdict).toBe('pass')
    expect(reason).toContain('ahead of classic')
  })

  test('a rule that the generation has and the kernel has not is a fail', () => {
    expect(verdictOn('too-small-is-rejected', 'restored', 'portable').verdict).toBe('fail')
  })

  test('what no generation does is a fail', () => {
    const { verdict, reason } = verdictOn('shrunk-frame-restores', 'rejected', 'classic')
    expect(verdict).toBe('fail')
    expect(reason).toContain('no kernel generation does this')
    expect(verdictOn('larger-frame-restores', 'unexplained', 'classic').verdict).toBe('fail')
  })

  test('--require turns the xfails of its generation into fails, and those alone', () => {
    const demands = { require: generationOf('portable'), held: new Set<RuleId>() }
    const classic = generationOf('classic')
    const failing = rules.filter(
      ({ id }) => judge(id, behaviour(classic, id), classic, demands).verdict === 'fail',
    )
    expect(failing.map(({ id }) => id)).toEqual([
      'extended-size-has-room-for-magic2',
      'too-small-is-rejected',
      'only-the-required-size-is-faulted-in',
    ])
    const { verdict } = judge('larger-frame-restores', 'fx-only', classic, demands)
    expect(verdict).toBe('xfail')
  })

  test('--require portable is met by portable and by larger', () => {
    const demands = { require: generationOf('portable'), held: new Set<RuleId>() }
    for (const id of ['portable', 'larger'] as const) {
      const kernel = generationOf(id)
      const failing = rules.filter(
        rule => judge(rule.id, behaviour(kernel, rule.id), kernel, demands).verdict === 'fail',
      )
      expect(failing).toEqual([])
    }
  })

  test('--require larger fails a portable kernel', () => {
    const demands = { require: generationOf('larger'), held: new Set<RuleId>() }
    expect(verdictOn('larger-frame-restores', 'fx-only', 'portable', demands).verdict).toBe('fail')
  })

  test('what a later generation gives up on purpose passes, and is noted', () => {
    expect(verdictOn('size-above-user-size-is-fx-only', 'restored', 'larger')).toEqual({
      verdict: 'pass',
      reason: 'superseded in larger',
    })
    expect(verdictOn('ia32-reads-what-xstate-bv-names', 'rejected', 'portable').reason).toBe(
      'superseded in portable',
    )
    expect(verdictOn('ia32-reads-what-xstate-bv-names', 'rejected', 'classic').verdict).toBe('fail')
  })

  test('a rule that held in the baseline must not become an xfail', () => {
    const demands = { require: null, held: new Set<RuleId>(['too-small-is-rejected']) }
    const { verdict, reason } = verdictOn('too-small-is-rejected', 'restored', 'classic', demands)
    expect(verdict).toBe('fail')
    expect(reason).toContain('baseline')
  })
})

describe('a rule that a version brought, not a generation', () => {
  const brought = rules.filter(({ before }) => before !== undefined)
  const pairs = brought.flatMap(rule =>
    (rule.before ?? []).flatMap(before =>
      generations.map(({ id: kernel }) => ({ id: rule.id, rule, before, kernel })),
    ),
  )

  test('there are some, and no generation differs in them', () => {
    expect(brought.map(({ id }) => id)).toContain('delivery-opens-closed-stacks')
    for (const { id } of brought)
      for (const generation of generations) expect(behaviour(generation, id)).toBe(ruleOf(id).holds)
    for (const { status, before, holds } of brought) {
      expect(status).toMatch(/^(since \d+\.\d+|proposed)$/)
      expect(before).not.toContain(holds)
    }
    for (const { status, before } of rules)
      if (/^since \d/.test(status)) expect(before?.length).toBeGreaterThan(0)
  })

  test.each(pairs)('$id: $before is an xfail on a $kernel kernel', ({ rule, before, kernel }) => {
    const { verdict, reason } = verdictOn(rule.id, before, kernel)
    expect(verdict).toBe('xfail')
    expect(reason).toBe(`${rule.status}: ${rule.commit}`)
  })

  test.each(pairs)('$id, $before on $kernel: no --require wants it', ({ rule, before, kernel }) => {
    for (const require of generations.filter(({ harm }) => harm === undefined)) {
      expect(verdictOn(rule.id, before, kernel, { require, held: new Set() }).verdict).toBe('xfail')
    }
  })

  test.each(pairs)('$id, $before on $kernel: --baseline does', ({ rule, before, kernel }) => {
    for (const require of [null, generationOf('portable')]) {
      const { verdict, reason } = verdictOn(rule.id, before, kernel, { require, held: new Set([rule.id]) })
      expect({ verdict, reason }).toEqual({
        verdict: 'fail',
        reason: 'the rule held in the baseline and holds no longer',
      })
    }
  })

  test('what proposes it does, and nothing else that is proposed', () => {
    for (const { id, rule, before, kernel } of pairs) {
      const demands = { require: demandOf('hwcap-inheritance'), held: new Set<RuleId>() }
      const { verdict, reason } = verdictOn(id, before, kernel, demands)
      const isOfIt = rule.proposal === 'hwcap-inheritance'
      expect(`${id} ${verdict}`).toBe(`${id} ${isOfIt ? 'fail' : 'xfail'}`)
      if (isOfIt) expect(reason).toMatch(/^--require hwcap-inheritance wants it: proposed: /)
      expect(verdictOn(id, rule.holds, kernel, demands).verdict).toBe('pass')
    }
  })

  test('it passes where it holds, and nothing is ahead of anything', () => {
    for (const { id, holds } of brought)
      for (const kernel of generations)
        expect(judge(id, holds, kernel, none)).toEqual({ verdict: 'pass', reason: '' })
  })

  test('what neither it nor the kernels before it do is a fail', () => {
    const { verdict, reason } = verdictOn('delivery-opens-closed-stacks', 'fx-only', 'classic')
    expect({ verdict, reason }).toEqual({
      verdict: 'fail',
      reason: expect.stringContaining('no kernel generation does this'),
    })
  })
})

test('generations differ in the rules by which they are told', () => {
  for (const generation of generations) expect(tellingRules(generation).size).toBeGreaterThan(0)
})

test('what can be demanded: generations that do no harm, and proposals, by rules that tell them', () => {
  expect(requirable).toEqual(['classic', 'portable', 'larger', 'hwcap-inheritance'])
  for (const id of requirable) expect(tellingRules(demandOf(id)).size).toBeGreaterThan(0)
  expect([...tellingRules(demandOf('hwcap-inheritance'))]).toEqual(
    rules.filter(({ proposal }) => proposal === 'hwcap-inheritance').map(({ id }) => id),
  )
  for (const id of ['regressed', 'newest'])
    expect(() => demandOf(id)).toThrow(/must be one of classic portable larger hwcap-inheritance/)
})

test('an unknown generation is refused, and the known ones are listed', () => {
  expect(() => generationOf('newest')).toThrow(/classic regressed portable larger/)
})
