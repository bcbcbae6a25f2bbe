import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type CollectedHost, missing, type Results } from '../../lib/merge/collection.ts'
import { joined } from '../../lib/merge/join.ts'
import { baseOf } from '../../lib/merge/names.ts'
import { absent, anyResults, bundleOf, emptyMatrix, hostOf, results, unread, vmOf } from './samples.ts'

const namesOf = ({ hosts }: Results): readonly string[] => hosts.map(({ name }) => name)

describe('what is there twice is there once', () => {
  test('the same bundle, under the name that came first', () => {
    expect(joined([results([hostOf('a', 1)]), results([hostOf('b', 1)])])).toEqual(results([hostOf('a', 1)]))
  })

  test('whatever order its fields came in', () => {
    const shuffled = Object.fromEntries(Object.entries(bundleOf(1)).reverse()) as ReturnType<typeof bundleOf>
    const other = { ...hostOf('a', 1), bundle: shuffled }
    expect(joined([results([hostOf('a', 1), other])]).hosts).toHaveLength(1)
  })

  test('a file that cannot be read, a report of virtual machines, a matrix', () => {
    const all = results([unread('a'), unread('a')], {
      vms: [
        { name: 'vm', report: vmOf(1) },
        { name: 'other', report: vmOf(1) },
      ],
      matrices: [
        { name: 'x', matrix: emptyMatrix },
        { name: 'y', matrix: { ...emptyMatrix } },
      ],
    })
    expect(joined([all])).toEqual({
      hosts: [unread('a')],
      vms: [{ name: 'vm', report: vmOf(1) }],
      matrices: [{ name: 'x', matrix: emptyMatrix }],
    })
  })
})

describe('each name once', () => {
  test('different results of one name stay apart', () => {
    const all = joined([results([hostOf('a', 1), hostOf('a', 2)]), results([hostOf('a', 3), unread('a')])])
    expect(namesOf(all)).toEqual(['a', 'a (2)', 'a (3)', 'a (4)'])
    expect(all.hosts.map(({ bundle }) => bundle?.host.brand)).toEqual(['CPU 1', 'CPU 2', 'CPU 3', undefined])
  })

  test('a file that has such a name of itself keeps it', () => {
    const all = joined([results([hostOf('a (2)', 1), hostOf('a', 2), hostOf('a', 3)])])
    expect(namesOf(all)).toEqual(['a (2)', 'a', 'a (3)'])
  })

  test('of each kind: a report may be called as a host is', () => {
    const all = joined([results([hostOf('a', 1)], { vms: [{ name: 'a', report: vmOf(1) }] })])
    expect([namesOf(all), all.vms[0]?.name]).toEqual([['a'], 'a'])
  })
})

describe('what was expected', () => {
  test('and is not there is an error, in the order of the names, once', () => {
    const all = joined([results([hostOf('b', 1)])], ['c', 'b', 'a', 'c'])
    expect(all.hosts).toEqual([hostOf('b', 1), absent('c'), absent('a')])
  })

  test('and cannot be read is there', () => {
    expect(joined([results([unread('a')])], ['a'])).toEqual(results([unread('a')]))
  })

  test('and comes late takes the place of what said that it is missing', () => {
    const first = joined([results([hostOf('a', 1)])], ['a', 'b'])
    expect(joined([first, results([hostOf('b', 2)])])).toEqual(results([hostOf('a', 1), hostOf('b', 2)]))
    expect(joined([results([hostOf('b', 2)]), first])).toEqual(results([hostOf('b', 2), hostOf('a', 1)]))
  })

  test('and whose results are those of another host', () => {
    const all = joined([results([hostOf('a', 1), hostOf('b', 1)])], ['a', 'b'])
    expect(all.hosts).toEqual([
      hostOf('a', 1),
      { name: 'b', problem: 'it was expected, and what came as its results are those of a', bundle: null },
    ])
  })
})

test('what a file says of a problem is not believed where there are results to tell by', () => {
  const lying: CollectedHost = { ...hostOf('a', 1), bundle: { ...bundleOf(1), cases: [] } }
  const alarmed: CollectedHost = { ...hostOf('b', 2), problem: 'on fire' }
  const { hosts } = joined([results([lying, alarmed])])
  expect(hosts.map(({ problem }) => problem)).toEqual(['nothing ran: there is no case', null])
})

/** A merge by what is in it: names without the numbers that hang on the order. */
const contentOf = ({ hosts, vms, matrices }: Results): readonly string[] =>
  [
    ...hosts.map(host => JSON.stringify({ ...host, name: baseOf(host.name) })),
    ...vms.map(vm => JSON.stringify({ ...vm, name: baseOf(vm.name) })),
    ...matrices.map(matrix => JSON.stringify({ ...matrix, name: baseOf(matrix.name) })),
  ].sort()

describe('merging', () => {
  const many = fc.array(anyResults, { maxLength: 5 })

  test('in any grouping is the same, names and order too', () => {
    fc.assert(
      fc.property(many, fc.nat(), fc.nat(), (parts, a, b) => {
        const [from, to] = [a % (parts.length + 1), b % (parts.length + 1)].sort((x, y) => x - y) as [
          number,
          number,
        ]
        const inner = joined(parts.slice(from, to))
        expect(joined([...parts.slice(0, from), inner, ...parts.slice(to)])).toEqual(joined(parts))
      }),
      { numRuns: 500 },
    )
  })

  test('again changes nothing', () => {
    fc.assert(
      fc.property(many, parts => {
        const all = joined(parts)
        expect(joined([all])).toEqual(all)
        expect(joined([all, all])).toEqual(all)
        expect(joined([all, ...parts])).toEqual(all)
      }),
    )
  })

  test('in any order is the same, but for order and numbers', () => {
    fc.assert(
      fc.property(
        many.chain(parts =>
          fc.tuple(fc.constant(parts), fc.shuffledSubarray(parts, { minLength: parts.length })),
        ),
        ([parts, shuffled]) => {
          expect(contentOf(joined(shuffled))).toEqual(contentOf(joined(parts)))
        },
      ),
      { numRuns: 300 },
    )
  })

  test('gives each name once, and loses no results', () => {
    fc.assert(
      fc.property(many, parts => {
        const all = joined(parts)
        for (const list of [all.hosts, all.vms, all.matrices])
          expect(new Set(list.map(({ name }) => name)).size).toBe(list.length)
        const bundles = (from: readonly CollectedHost[]) =>
          new Set(from.filter(({ bundle }) => bundle !== null).map(({ bundle }) => bundle?.startedAt))
        expect(bundles(all.hosts)).toEqual(bundles(parts.flatMap(({ hosts }) => hosts)))
        const gaps = all.hosts.filter(({ problem }) => problem === missing).map(({ name }) => name)
        const came = parts.flatMap(({ hosts }) => hosts).filter(({ problem }) => problem !== missing)
        expect(came.filter(({ name }) => gaps.includes(name))).toEqual([])
      }),
    )
  })
})
