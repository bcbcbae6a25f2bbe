import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KernelError } from '../../../lib/vm/kernels/errors.ts'
import {
  compareDebianVersions,
  compareVersions,
  isVersion,
  nameOf,
  resolveVersion,
  splitName,
  upstreamOf,
} from '../../../lib/vm/kernels/version.ts'

const available = [
  '6.1.192',
  '6.12.43',
  '6.12.117',
  '7.0.4',
  '7.2',
  '7.2.6',
  '7.2.12',
  '7.3-rc7',
  '7.3.4',
  '7.20.1',
]

const refused = (wanted: string, from: readonly string[] = available): KernelError => {
  try {
    resolveVersion(wanted, from)
  } catch (error) {
    if (error instanceof KernelError) return error
    throw error
  }
  throw new Error(`${wanted} was resolved`)
}

describe('the version that is meant', () => {
  test.each([
    ['7.2', '7.2.12'],
    ['7.20', '7.20.1'],
    ['7.2.6', '7.2.6'],
    ['7.2.0', '7.2'],
    ['6.12', '6.12.117'],
    ['7.3', '7.3.4'],
    ['7.3-rc7', '7.3-rc7'],
  ])('%s is %s', (wanted, version) => {
    expect(resolveVersion(wanted, available)).toBe(version)
  })

  test('a release candidate is of its series where there is nothing else', () => {
    expect(resolveVersion('7.3', ['7.2.12', '7.3-rc1', '7.3-rc7'])).toBe('7.3-rc7')
  })

  test('one that does not exist is refused with those around it', () => {
    expect(refused('7.2.7')).toMatchObject({
      problem: 'unknown',
      message: 'there is no kernel 7.2.7; the nearest are 7.2 7.2.6 7.2.12',
    })
    expect(refused('7.1').message).toMatch(/the nearest are 6\.12\.117 7\.0\.4 7\.2\.12 7\.3\.4$/)
    expect(refused('9.9').message).toMatch(/7\.3\.4 7\.20\.1$/)
    expect(refused('2.6').message).toMatch(/are 6\.1\.192 6\.12\.117/)
    expect(refused('7.2', []).message).toBe('there is no kernel 7.2, nor any other')
  })

  test.each([
    '',
    '7',
    '7.',
    'v7.2',
    '7.2.x',
    '7.2.12.1',
    '../7.2',
    '7.2-rc',
    ' 7.2',
    '7.2\n',
    '9'.repeat(99),
  ])('%j is no version', text => {
    expect(refused(text).problem).toBe('name')
    expect(refused(text).message.length).toBeLessThan(200)
  })

  const version = fc
    .tuple(fc.nat(3), fc.nat(40), fc.option(fc.nat(200)), fc.option(fc.nat(9)))
    .map(([a, b, c, rc]) => `${a}.${b}${c === null ? '' : `.${c}`}${rc === null ? '' : `-rc${rc}`}`)

  test('is one of those available, of its series, and none of them is newer', () => {
    fc.assert(
      fc.property(fc.nat(3), fc.nat(4), fc.array(version, { maxLength: 40 }), (major, minor, versions) => {
        const series = `${major}.${minor}`
        const inSeries = versions.filter(
          one => one.startsWith(series) && !/^\d/.test(one.slice(series.length)),
        )
        if (inSeries.length === 0) {
          expect(() => resolveVersion(series, versions)).toThrow(KernelError)
          return
        }
        const found = resolveVersion(series, versions)
        expect(inSeries).toContain(found)
        expect(inSeries.filter(one => compareVersions(one, found) > 0)).toEqual([])
      }),
    )
  })

  test('sorting is an order', () => {
    fc.assert(
      fc.property(fc.array(version, { maxLength: 20 }), versions => {
        const sorted = [...versions].sort(compareVersions)
        for (const [i, one] of sorted.entries())
          for (const later of sorted.slice(i)) expect(compareVersions(one, later)).toBeLessThanOrEqual(0)
      }),
    )
    expect(['7.2', '7.10', '7.2.1', '7.2-rc1', 'x'].sort(compareVersions)).toEqual([
      'x',
      '7.2-rc1',
      '7.2',
      '7.2.1',
      '7.10',
    ])
  })
})

describe("Debian's versions", () => {
  test.each([
    ['7.2.12-1~bpo13+1', '7.2.12'],
    ['7.3~rc7-1~exp1', '7.3-rc7'],
    ['6.1.192-2', '6.1.192'],
    ['1:6.1-1', '6.1'],
    ['4.12~', null],
    ['6.1.20230101-1', null],
  ])('%s is %s', (text, version) => {
    expect(upstreamOf(text)).toBe(version)
  })

  const ordered = [
    ['6.12.117-1~deb12u1', '6.12.117-1'],
    ['6.12.90-1', '6.12.90-2'],
    ['6.12.90-2~bpo12+1', '6.12.90-2'],
    ['6.12.9-1', '6.12.10-1'],
    ['7.3~rc7-1~exp1', '7.3-1'],
    ['9', '1:1'],
    ['1.0', '1.0+b1'],
    ['1.0a', '1.0+'],
  ] as const
  test.each(ordered)('%s is older than %s', (a, b) => {
    expect(compareDebianVersions(a, b)).toBeLessThan(0)
    expect(compareDebianVersions(b, a)).toBeGreaterThan(0)
    expect(compareDebianVersions(a, a)).toBe(0)
  })

  const hasDpkg = spawnSync('dpkg', ['--version']).status === 0
  test.skipIf(!hasDpkg)('are ordered as dpkg does (skipped without dpkg)', () => {
    const text = fc.stringMatching(/^[0-9][0-9a-z.+~]{0,5}(-[0-9a-z.+~]{1,4})?$/)
    fc.assert(
      fc.property(text, text, (a, b) => {
        const relation = Math.sign(compareDebianVersions(a, b))
        const word = relation < 0 ? 'lt' : relation > 0 ? 'gt' : 'eq'
        expect(spawnSync('dpkg', ['--compare-versions', a, word, b]).status, `${a} ${word} ${b}`).toBe(0)
      }),
      { numRuns: 150 },
    )
  })
})

test('a name is a version and a flavour', () => {
  expect(nameOf('7.2.12', 'cloud')).toBe('7.2.12')
  for (const version of available)
    for (const flavour of ['cloud', 'amd64'] as const)
      expect(splitName(nameOf(version, flavour))).toEqual({ version, flavour })
  expect(isVersion('7.2.12-amd64')).toBe(false)
})
