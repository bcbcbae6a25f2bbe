import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatId, matcher } from '../../lib/harness/ids.ts'
import { planCases, planLacking, planWithoutXsave } from '../../lib/harness/plan.ts'
import { loadSelftests, selftestNames } from '../../lib/harness/selftests.ts'
import { componentSets, permittedSets } from '../../lib/harness/variants.ts'
import type { HostCpu } from '../../lib/xstate/host.ts'
import { knownLayouts } from '../../lib/xstate/known-layouts.ts'
import { createLayout } from '../../lib/xstate/layout.ts'

const selftests = await loadSelftests()

describe('selftests', () => {
  test('a file is named as its selftest', () => {
    expect(selftests.map(({ name }) => name)).toEqual(selftestNames())
  })

  test('have what the project promises', () => {
    expect(selftestNames()).toEqual(
      expect.arrayContaining(['fx_only_fallback', 'sigframe_fpu_portability', 'untouched_frame']),
    )
  })
})

describe('component sets', () => {
  test('five components: all 31 combinations', () => {
    const sets = componentSets(['avx', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru'])
    expect(sets).toHaveLength(31)
    expect(new Set(sets.map(String)).size).toBe(31)
  })

  test('more than five: each alone, each pair, as CPUs came, all but one, and all', () => {
    const names = ['avx', 'bndregs', 'bndcsr', 'opmask', 'zmm_hi256', 'hi16_zmm', 'pkru'] as const
    const sets = componentSets(names).map(set => set.join('+'))
    for (const name of names) expect(sets).toContain(name)
    expect(sets).toContain('avx+pkru')
    expect(sets).toContain('avx+bndregs+bndcsr')
    expect(sets).toContain('bndregs+bndcsr+opmask+zmm_hi256+hi16_zmm+pkru')
    expect(sets).toContain(names.join('+'))
    expect(sets.length).toBeLessThan(60)
  })

  test('none: none', () => {
    expect(componentSets([])).toEqual([])
  })

  test('a permission’s component takes part alone, in pairs, in all, and is left out once', () => {
    const sets = permittedSets(['avx', 'xtilecfg', 'xtiledata'], ['xtiledata']).map(set => set.join('+'))
    expect(sets.sort()).toEqual(
      ['xtiledata', 'avx+xtiledata', 'xtilecfg+xtiledata', 'avx+xtilecfg', 'avx+xtilecfg+xtiledata'].sort(),
    )
  })
})

describe('ids', () => {
  const layout = createLayout(knownLayouts['sapphire-rapids'])
  const ids = selftests.flatMap(one => planCases(one, { layout, permissions: [] })).map(({ id }) => id)

  test('are unique and have four parts', () => {
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids) expect(id).toMatch(/^[a-z0-9_]+\/[a-z0-9_]+\/x86_64\/[a-z0-9_+]+$/)
  })

  test('permissions are told apart', () => {
    const permitted = selftests.flatMap(one => planCases(one, { layout, permissions: ['xtiledata'] }))
    const both = [...ids, ...permitted.map(({ id }) => id)]
    expect(new Set(both).size).toBe(both.length)
  })

  test('patterns: a name, an id, a beginning up to a slash, and *', () => {
    const id = formatId({
      selftest: 'a_b',
      case: 'shrunk',
      abi: 'x86_64',
      components: ['avx', 'opmask'],
      permissions: [],
    })
    for (const yes of ['a_b', 'a_b/shrunk', 'a_b/shrunk/x86_64', id, '*avx*', 'a_*', '*/shrunk', '*'])
      expect(matcher(yes)(id), yes).toBe(true)
    for (const no of ['a', 'a_b/shr', 'shrunk', '', 'a_b/shrunk/x86_64/avx', 'a.b', '(', '*avx'])
      expect(matcher(no)(id), no).toBe(false)
  })

  test('no pattern throws, and a pattern matches the id that it was', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        expect(matcher(text)(text.replaceAll('*', 'x'))).toBe(true)
      }),
    )
  })
})

describe('what a host lacks', () => {
  const cpu = { components: [{ index: 9 }] } as unknown as HostCpu

  test('is a skip that says why', () => {
    const [one] = selftests.filter(({ variants }) => variants === 'each component')
    const skips = planLacking(
      one as (typeof selftests)[number],
      cpu,
      createLayout(knownLayouts.haswell),
      new Set(),
    )
    const reasons = Object.fromEntries(skips.map(({ components, reason }) => [components[0], reason]))
    expect(reasons.avx).toBe('this kernel has enabled avx but leaves it out of its frames')
    expect(reasons.apx).toBe('this CPU has no apx')
    expect(reasons.pkru).toBe('this kernel has not enabled pkru')
  })

  test('without XSAVE every case is one', () => {
    for (const one of selftests) {
      const skips = planWithoutXsave(one)
      expect(skips).toHaveLength(Object.keys(one.cases).length)
      for (const { reason } of skips) expect(reason).toContain('no XSAVE')
    }
  })
})
