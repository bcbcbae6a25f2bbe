/** What pages tell of a collection, before it is a page. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mostPrograms } from '../../lib/report/digest/bounds.ts'
import { digestOf, programKey, standing } from '../../lib/report/digest/digest.ts'
import { outcomeText } from '../../lib/report/digest/pairs.ts'
import { pictureText } from '../../lib/report/digest/pictures.ts'
import { placeTables, worstFirst } from '../../lib/report/digest/places.ts'
import { programsOf } from '../../lib/report/digest/programs.ts'
import { known } from '../xstate/arbitrary.ts'
import {
  anyCollection,
  collection,
  hostOf,
  sampleCollection,
  sampleHost,
  samplePairs,
} from './collection-samples.ts'
import { bundle, kernel, result } from './stub.ts'
import { failedMachine, failedStatuses, losing, matrix, report } from './vm-samples.ts'

describe('places', () => {
  test('a host of which there is nothing is an error, and comes first', () => {
    const { places } = digestOf(sampleCollection())
    const [first] = worstFirst(places)
    expect(first).toMatchObject({ name: 'db-1', tone: 'error', word: 'ERROR' })
    expect(first?.problem).toContain('nothing of it is here')
  })

  test('a host with a problem is one whatever its bundle says', () => {
    const one = { ...sampleHost('a', 'zen4'), problem: 'nothing ran there: all 3 cases were skipped' }
    expect(digestOf(collection({ hosts: [one] })).places[0]).toMatchObject({ tone: 'error', word: 'ERROR' })
  })

  test.each([
    ['pass', 'good', 'PASS'],
    ['fail', 'bad', 'FAIL 1'],
    ['skip', 'quiet', 'SKIP'],
    ['broken', 'error', 'BROKEN 1'],
  ] as const)('a host whose only case is a %s is %s', (verdict, tone, word) => {
    const hosts = [{ name: 'a', problem: null, bundle: bundle([result(verdict)]) }]
    expect(placeTables(collection({ hosts }))[0]?.places[0]).toMatchObject({ tone, word })
  })

  test('machines are told as sigframe vm tells them', () => {
    const machines = failedStatuses.map(status => failedMachine(status))
    const [table] = placeTables(collection({ vms: [{ name: 'x', report: report(machines) }] }))
    expect(table?.places.map(({ tone }) => tone)).toEqual(
      failedStatuses.map(status =>
        status === 'broken' || status === 'refused'
          ? 'error'
          : status === 'skipped' || status === 'interrupted'
            ? 'quiet'
            : 'bad',
      ),
    )
    expect(table?.places.every(({ problem }) => problem !== '')).toBe(true)
  })

  test.each([
    [[], 'nothing in it'],
    [[sampleHost('a', 'zen4')], 'nothing failed'],
    [[{ name: 'a', problem: null, bundle: bundle([result('skip')]) }], 'all skipped'],
    [[{ name: 'a', problem: 'x', bundle: null }, sampleHost('b', 'zen4', [losing()])], '1 error, 1 failed'],
  ])('how it stands', (hosts, wanted) => {
    expect(standing(digestOf(collection({ hosts })))).toBe(wanted)
  })
})

describe('frames', () => {
  test('one for each layout, with all that have it', () => {
    const { frames } = digestOf(
      collection({ hosts: [sampleHost('a', 'zen4'), sampleHost('b', 'haswell'), sampleHost('c', 'zen4')] }),
    )
    expect(frames.map(({ owners }) => owners)).toEqual([['a', 'c'], ['b']])
    expect(frames.map(({ size }) => size)).toEqual([known('zen4').size, known('haswell').size])
  })

  test('a host that says what cannot be is not drawn, and said', () => {
    const host = { ...hostOf(known('zen4'), 'x'), userFeatures: '0xffffffffffffffff' }
    const hosts = [{ name: 'liar', problem: null, bundle: bundle([result()], { host }) }]
    const { frames, framesLeft } = digestOf(collection({ hosts }))
    expect(frames).toEqual([])
    expect(framesLeft).toEqual(['liar: it says of itself what no CPU can have'])
  })

  test('of two layouts each is source and destination once', () => {
    const { pictures } = digestOf(
      collection({ hosts: [sampleHost('a', 'zen4'), sampleHost('b', 'sapphire-rapids')] }),
    )
    expect(pictures.map(({ source, destination }) => [source.owners[0], destination.owners[0]])).toEqual([
      ['a', 'b'],
      ['b', 'a'],
    ])
    const texts = pictures.map(pictureText)
    expect(texts[0]).toBe('opmask zmm_hi256 hi16_zmm pkru lie elsewhere; xtilecfg only there')
    expect(texts[1]).toBe('opmask zmm_hi256 hi16_zmm pkru lie elsewhere; xtilecfg is missing there')
    const fates = new Map(pictures[0]?.crossings.map(({ name, fate }) => [name, fate]))
    expect(fates.get('avx')).toBe('stays')
    expect(fates.get('pkru')).toBe('moves')
    expect(fates.get('xtilecfg')).toBe('new')
  })

  test('hosts of one layout have no pair', () => {
    const hosts = [sampleHost('a', 'zen4'), sampleHost('b', 'zen4')]
    expect(digestOf(collection({ hosts })).pictures).toEqual([])
  })
})

describe('failures', () => {
  const cases = [losing({ id: 'a/b/x86_64/avx' }), losing({ id: 'a/c/x86_64/avx', observed: 'otherwise' })]
  const hosts = ['h1', 'h2', 'h3'].map(name => sampleHost(name, 'zen4', cases, 'regressed'))

  test('equal ones of many hosts are one', () => {
    const { failures } = digestOf(collection({ hosts }))
    expect(failures).toHaveLength(1)
    const [group] = failures
    expect(group?.count).toBe(6)
    expect(group?.places.map(({ place, count }) => [place.name, count])).toEqual([
      ['h1', 2],
      ['h2', 2],
      ['h3', 2],
    ])
    expect(group?.ids).toEqual([
      { id: 'a/b/x86_64/avx', count: 3 },
      { id: 'a/c/x86_64/avx', count: 3 },
    ])
    expect(group?.observed).toEqual([
      { text: 'returned as FX-only: avx at init', count: 3 },
      { text: 'otherwise', count: 3 },
    ])
  })

  test('the worst verdict first, then what most hosts have; what differs in reason or expectation apart', () => {
    const same = { rules: ['shrunk-frame-restores'] as const, reason: cases[0]?.reason ?? '' }
    const others = [
      losing({ reason: 'rare' }),
      losing({ ...same, expected: 'otherwise' }),
      result('crash', { rules: same.rules, reason: same.reason }),
    ]
    const { failures } = digestOf(
      collection({ hosts: [{ name: 'x', problem: null, bundle: bundle(others) }, ...hosts] }),
    )
    expect(failures.map(({ verdict, reason, expected }) => [verdict, reason, expected])).toEqual([
      ['crash', same.reason, 'restored by XRSTOR'],
      ['fail', same.reason, 'restored by XRSTOR'],
      ['fail', 'rare', 'restored by XRSTOR'],
      ['fail', same.reason, 'otherwise'],
    ])
  })

  test('machines and hosts together', () => {
    const { failures } = digestOf(collection({ hosts, vms: [{ name: 'v', report: report(matrix()) }] }))
    const kinds = new Set(failures[0]?.places.map(({ place }) => place.kind))
    expect(kinds).toEqual(new Set(['host', 'machine']))
  })
})

describe('pairs', () => {
  test('CPUs that fare alike are one row, and say so', () => {
    const matrix = samplePairs(['zen4', 'haswell', 'bulldozer'])
    const { pairTables } = digestOf(collection({ matrices: [{ name: 'm', matrix }] }))
    expect(pairTables[0]?.hosts.map(({ name, alike }) => [name, ...alike])).toEqual([
      ['zen4'],
      ['haswell', 'bulldozer'],
    ])
  })

  test('generations in which all is the same are one table', () => {
    const matrix = samplePairs(['zen4', 'haswell'], ['regressed', 'portable', 'larger'])
    const { pairTables } = digestOf(collection({ matrices: [{ name: 'm', matrix }] }))
    expect(pairTables[0]?.grids.map(({ generations }) => generations)).toEqual([
      ['regressed', 'portable', 'larger'],
    ])
  })

  test('every cell leads to what is known of its pair', () => {
    const matrix = samplePairs(['zen4', 'haswell', 'skylake-sp'])
    const { pairTables, evidence } = digestOf(collection({ matrices: [{ name: 'm', matrix }] }))
    const byId = new Map(evidence.map(one => [one.id, one]))
    for (const { rows, generations } of pairTables[0]?.grids ?? [])
      for (const cell of rows.flat()) {
        const found = byId.get(cell?.evidence ?? '')
        expect(found?.pairs).toContain(cell?.pair)
        expect(generations).toContain(cell?.pair.generation)
      }
  })

  test('a file without some pairs has gaps', () => {
    const whole = samplePairs(['zen4', 'haswell'], ['classic'])
    const matrix = { ...whole, pairs: whole.pairs.slice(1) }
    const { pairTables } = digestOf(collection({ matrices: [{ name: 'm', matrix }] }))
    expect(pairTables[0]?.grids[0]?.rows[0]?.[0]).toBeUndefined()
  })

  test.each([
    ['works', [], false, 'works'],
    ['breaks', [], false, 'breaks'],
    ['breaks', [], true, 'breaks silently'],
    ['works if unused', ['pkru'], false, 'works if pkru is not in use'],
    ['works if unused', ['a', 'b'], true, 'works if a and b are not in use; silently wrong otherwise'],
  ] as const)('%s %j %s', (outcome, unused, silent, wanted) => {
    expect(outcomeText({ outcome, unused, silent })).toBe(wanted)
  })
})

describe('C programs', () => {
  const id = 'fx_only_fallback/extended_size_equal/x86_64/all'
  const failed = (changes = {}) =>
    result('fail', {
      id,
      selftest: 'fx_only_fallback',
      case: 'extended_size_equal',
      rules: ['extended-size-has-room-for-magic2'],
      reason: '--require portable wants it',
      ...changes,
    })
  const digest = (changes = {}) =>
    digestOf(
      collection({
        hosts: [
          {
            name: 'a',
            problem: null,
            bundle: bundle([failed(changes)], {
              host: hostOf(known('zen4'), 'x'),
              kernel: kernel('classic'),
            }),
          },
        ],
      }),
    )
  const repro = async () => {
    const { planCases } = await import('../../lib/harness/plan.ts')
    const { loadSelftests } = await import('../../lib/harness/selftests.ts')
    const { reproOf } = await import('../../lib/harness/repro.ts')
    const { hostOfLayout, limitsOfLayout } = await import('../../lib/probe/geometry.ts')
    const { traitsByTheManual } = await import('../../lib/harness/selftest.ts')
    const layout = known('zen4')
    const selftests = await loadSelftests()
    const planned = selftests
      .filter(({ name }) => name === 'fx_only_fallback')
      .flatMap(one =>
        planCases(one, {
          layout,
          expected: layout,
          limits: limitsOfLayout(layout),
          cpu: hostOfLayout(layout),
          traits: traitsByTheManual,
          permissions: [],
          long: true,
          lack: () => null,
        }),
      )
      .find(one => one.id === id)
    if (planned === undefined || !('context' in planned)) throw new Error(`${id} is planned no more`)
    return reproOf(planned.test, planned.context)
  }

  test('of a case that is what it was', async () => {
    const programs = await programsOf(digest({ repro: await repro() }))
    expect([...programs.keys()]).toEqual([programKey({ id: 'host-0' }, id)])
    const [text] = programs.values()
    expect(text).toContain(id)
    expect(text).toContain('int main(')
  })

  test.each([
    ['nothing to repeat', async () => ({ repro: null })],
    ['another seed', async () => ({ repro: { ...(await repro()), seed: 2 } })],
    ['another edit', async () => ({ repro: { ...(await repro()), edit: [{ op: 'resize' }] } })],
    ['a selftest that is not here', async () => ({ repro: await repro(), selftest: 'gone' })],
    ['a permission that no CPU knows', async () => ({ repro: await repro(), id: `${id}@nothing` })],
  ])('none for %s', async (_, changes) => {
    expect((await programsOf(digest(await changes()))).size).toBe(0)
  })

  test('any collection: bounded, and no error', async () => {
    await fc.assert(
      fc.asyncProperty(anyCollection, async drawn => {
        expect((await programsOf(digestOf(drawn))).size).toBeLessThanOrEqual(mostPrograms)
      }),
      { numRuns: 20 },
    )
  })
})
