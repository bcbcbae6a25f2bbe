import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Abi, abis } from '../../lib/frame/abi.ts'
import { formatId, matcher } from '../../lib/harness/ids.ts'
import {
  type PlannedCase,
  type PlanSession,
  planCases,
  planLacking,
  planLackingAbis,
  planWithoutXsave,
  type SkippedCase,
} from '../../lib/harness/plan.ts'
import { type FrameCase, type SelftestCase, selftest, traitsByTheManual } from '../../lib/harness/selftest.ts'
import { loadSelftests, selftestNames } from '../../lib/harness/selftests.ts'
import { planAll, type Sessions } from '../../lib/harness/sessions.ts'
import { componentSets, permittedSets } from '../../lib/harness/variants.ts'
import type { HostCpu } from '../../lib/xstate/host.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { machineNamed } from '../contract/simulated-cases.ts'
import { cpuOf, limitsOf, simulatedProbe } from '../contract/simulated-probe.ts'
import { known } from '../xstate/arbitrary.ts'

const selftests = await loadSelftests()

/** A session of a host with this layout, where nothing is lacking. */
const sessionOf = (layout: Layout, changes: Partial<PlanSession> = {}): PlanSession => ({
  layout,
  expected: layout,
  limits: limitsOf(layout),
  cpu: cpuOf(layout),
  traits: traitsByTheManual,
  permissions: [],
  long: true,
  lack: () => null,
  ...changes,
})

const frameCase = (changes: Partial<FrameCase> = {}): FrameCase => ({
  summary: 'Made up.',
  rule: 'untouched-frame-restores',
  commit: '',
  edit: () => [],
  ...changes,
})

const oneOf = (
  variants: 'each component' | 'single components' | 'once',
  cases: Readonly<Record<string, SelftestCase>>,
) => selftest('made_up', { summary: 'Made up.', variants, cases })

const isSkipped = (one: PlannedCase | SkippedCase): one is SkippedCase => 'reason' in one

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
  const layout = known('sapphire-rapids')
  const ids = selftests.flatMap(one => planCases(one, sessionOf(layout))).map(({ id }) => id)

  test('are unique and have four parts', () => {
    expect(new Set(ids).size).toBe(ids.length)
    for (const id of ids)
      expect(id).toMatch(/^[a-z0-9_]+\/[a-z0-9_]+\/(x86_64|ia32-rt|ia32|x32)\/[a-z0-9_+]+$/)
  })

  test('permissions are told apart', () => {
    const tiles = known('sapphire-rapids-tiles')
    const permitted = selftests.flatMap(one =>
      planCases(one, sessionOf(tiles, { permissions: ['xtiledata'] })),
    )
    for (const { id } of permitted) expect(id).toMatch(/@xtiledata$/)
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
    const skips = planLacking(one as (typeof selftests)[number], cpu, known('haswell'), new Set())
    const reasons = Object.fromEntries(skips.map(({ components, reason }) => [components[0], reason]))
    expect(reasons.avx).toBe('this kernel has enabled avx but leaves it out of its frames')
    expect(reasons.apx).toBe('this CPU has no apx')
    expect(reasons.pkru).toBe('this kernel has not enabled pkru')
  })

  test('without XSAVE every case is one, of an ABI that it is for', () => {
    for (const one of selftests) {
      const skips = planWithoutXsave(one)
      expect(skips).toHaveLength(Object.keys(one.cases).length)
      for (const { reason, abi, test: skipped } of skips) {
        expect(reason).toContain('no XSAVE')
        expect(skipped?.abis ?? abis).toContain(abi)
      }
    }
  })

  test('a component is one skip a selftest, of an ABI that it has cases for', () => {
    const layout = known('haswell')
    const one = oneOf('each component', { only: frameCase({ abis: ['ia32'] }) })
    const skips = planLacking(one, cpuOf(layout), layout, new Set(['avx']))
    expect(skips.map(({ id }) => id)).toContain('made_up/component/ia32/pkru')
    expect(skips.map(({ components: [name] }) => name)).not.toContain('avx')
    expect(planLacking({ ...one, variants: 'once' }, cpuOf(layout), layout, new Set())).toEqual([])
  })

  test('an ABI is one skip a selftest that has cases for it', () => {
    const lack = (abi: Abi) => (abi === 'ia32-rt' || abi === 'ia32' ? 'no 32-bit code here' : null)
    const skips = (test: Partial<FrameCase>) =>
      planLackingAbis(oneOf('once', { one: frameCase(test), two: frameCase(test) }), lack).map(
        ({ id, reason, abi, components }) => ({ id, reason, abi, components }),
      )
    expect(skips({})).toEqual(
      ['ia32-rt', 'ia32'].map(abi => ({
        id: `made_up/abi/${abi}/all`,
        reason: 'no 32-bit code here',
        abi,
        components: [],
      })),
    )
    expect(skips({ abis: ['ia32'] }).map(({ abi }) => abi)).toEqual(['ia32'])
    expect(skips({ abis: ['x86_64'] })).toEqual([])
  })
})

describe('what is planned', () => {
  const layout = known('zen3')
  const idsOf = (one: ReturnType<typeof oneOf>, changes: Partial<PlanSession> = {}, on = layout) =>
    planCases(one, sessionOf(on, changes)).map(({ id }) => id.slice('made_up/'.length))

  test('every ABI that the session has, and that the case is for', () => {
    expect(idsOf(oneOf('once', { any: frameCase() }))).toEqual(abis.map(abi => `any/${abi}/all`))
    const some = oneOf('once', { any: frameCase(), wide: frameCase({ abis: ['x86_64', 'x32'] }) })
    const lack = (abi: Abi) => (abi === 'x32' || abi === 'ia32' ? 'not here' : null)
    expect(idsOf(some, { lack })).toEqual(['any/x86_64/all', 'wide/x86_64/all', 'any/ia32-rt/all'])
  })

  test('the context says what a case may rely on', () => {
    const expected = known('haswell')
    const session = sessionOf(layout, { expected, lack: abi => (abi === 'ia32' ? null : 'no') })
    const [planned] = planCases(oneOf('once', { any: frameCase() }), session)
    expect(planned).toMatchObject({
      selftest: 'made_up',
      name: 'any',
      permissions: [],
      context: { abi: 'ia32', components: ['avx', 'pkru'], seed: 1 },
    })
    const { context } = planned as PlannedCase
    expect(context.layout).toBe(layout)
    expect(context.expected).toBe(expected)
    expect(context.cpu).toBe(session.cpu)
    expect(context.limits).toBe(session.limits)
  })

  test('variants: once with all, each combination, each component alone; and none but x87 and SSE', () => {
    const only = { lack: (abi: Abi) => (abi === 'x86_64' ? null : 'no') }
    const cases = { any: frameCase() }
    expect(idsOf(oneOf('once', cases), only)).toEqual(['any/x86_64/all'])
    expect(idsOf(oneOf('each component', cases), only)).toEqual([
      'any/x86_64/avx',
      'any/x86_64/pkru',
      'any/x86_64/avx+pkru',
    ])
    expect(idsOf(oneOf('single components', cases), only)).toEqual(['any/x86_64/avx', 'any/x86_64/pkru'])
    expect(idsOf(oneOf('single components', { any: frameCase({ withLegacy: true }) }), only)).toEqual([
      'any/x86_64/legacy',
      'any/x86_64/avx',
      'any/x86_64/pkru',
    ])
    const bare = known('sse-only')
    expect(idsOf(oneOf('single components', cases), only, bare)).toEqual([])
  })

  test('with a permission, single components are those that it is for', () => {
    const tiles = known('sapphire-rapids-tiles')
    const only = { permissions: ['xtiledata'] as const, lack: (abi: Abi) => (abi === 'x86_64' ? null : 'no') }
    expect(idsOf(oneOf('single components', { any: frameCase() }), only, tiles)).toEqual([
      'any/x86_64/xtiledata@xtiledata',
    ])
    expect(idsOf(oneOf('once', { any: frameCase() }), only, tiles)).toEqual(['any/x86_64/all@xtiledata'])
    const sets = idsOf(oneOf('each component', { any: frameCase() }), only, tiles)
    expect(sets).toContain('any/x86_64/avx+xtiledata@xtiledata')
    expect(sets).not.toContain('any/x86_64/avx@xtiledata')
  })

  const reasonsOf = (test: Partial<FrameCase>, changes: Partial<PlanSession> = {}) =>
    planCases(oneOf('once', { any: frameCase(test) }), sessionOf(layout, changes)).map(one =>
      isSkipped(one) ? `${one.abi}: ${one.reason}` : one.context.abi,
    )

  test('a need that is not met is a skip with its reason, for that ABI alone', () => {
    const needs: FrameCase['needs'] = ({ abi }) => (abi === 'ia32' ? 'not in 32 bits' : null)
    expect(reasonsOf({ needs })).toEqual(['x86_64', 'ia32-rt', 'ia32: not in 32 bits', 'x32'])
  })

  test('what takes long is a skip, unless it is asked for; a need comes first', () => {
    const long = 'it takes long: --long runs it'
    expect(reasonsOf({ long: true }, { long: false })).toEqual(abis.map(abi => `${abi}: ${long}`))
    expect(reasonsOf({ long: true })).toEqual([...abis])
    expect(reasonsOf({}, { long: false })).toEqual([...abis])
    expect(reasonsOf({ long: true, needs: () => 'never' }, { long: false })[0]).toBe('x86_64: never')
  })

  test('a CPU that loses ZMM_Hi256 with AVX skips what restores it without, and nothing else', () => {
    const iceLake = known('ice-lake-sp')
    const on = (keepsZmmHi256: boolean) =>
      selftests.flatMap(one =>
        planCases(one, sessionOf(iceLake, { traits: { ...traitsByTheManual, keepsZmmHi256 } })),
      )
    const kept = on(true)
    const lost = on(false).flatMap((one, i) => (isSkipped(one) && !isSkipped(kept[i]!) ? [one] : []))
    const sets = componentSets(iceLake.extended.map(({ name }) => name))
    const named = [
      'fake_sigreturn/shrunk',
      'sigframe_fpu_portability/shrunk',
      'sigframe_fpu_portability/valid_shrunk',
      'xfeatures_mask/subset',
    ]
    expect(new Set(lost.map(({ reason }) => reason))).toEqual(
      new Set(['this CPU loses zmm_hi256 when AVX is put to init']),
    )
    expect(lost.map(({ id }) => id).sort()).toEqual(
      named
        .flatMap(name => ['x86_64', 'x32'].map(abi => `${name}/${abi}`))
        .flatMap(name =>
          sets
            .filter(set => set.includes('zmm_hi256') && !set.includes('avx'))
            .map(set => `${name}/${set.join('+')}`),
        )
        .sort(),
    )
  })

  test('whether it does is asked of the CPU of the session', () => {
    const reasonsOn = (machine: string): Set<string> => {
      const { probe } = simulatedProbe({ ...machineNamed(machine), generation: 'classic' })
      const sessions = { get: () => probe } as unknown as Sessions
      const { cases } = planAll(selftests, sessions, cpuOf(known('sse-only')), false)
      return new Set(cases.flatMap(one => (isSkipped(one) ? [one.reason] : [])))
    }
    const reason = 'this CPU loses zmm_hi256 when AVX is put to init'
    expect(reasonsOn('skylake-sp that loses ZMM_Hi256 with AVX')).toContain(reason)
    expect(reasonsOn('skylake-sp')).not.toContain(reason)
  })

  test('a skip keeps what it would have been', () => {
    const test = frameCase({ needs: () => 'never' })
    const [one] = planCases(oneOf('each component', { any: test }), sessionOf(layout))
    expect(one).toEqual({
      id: 'made_up/any/x86_64/avx',
      selftest: 'made_up',
      name: 'any',
      test,
      abi: 'x86_64',
      components: ['avx'],
      reason: 'never',
    })
  })
})
