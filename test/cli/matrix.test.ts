import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalogueNames } from '../../lib/catalogue/catalogue.ts'
import { generations } from '../../lib/contract/generations.ts'
import { createMatrix } from '../../lib/matrix/create.ts'
import type { Pair, PairMatrix } from '../../lib/matrix/matrix.ts'
import { matrixJson, parseMatrix } from '../../lib/report/matrix-file.ts'
import { catalogue, hostNamed } from '../matrix/arbitrary.ts'
import { canProbe, inShell, sigframe } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-matrix-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const matrixOf = async (words: readonly string[]): Promise<PairMatrix> => {
  const { code, stdout, stderr } = await sigframe(['matrix', '--json', ...words])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return await parseMatrix(stdout, 'stdout')
}

const sidesOf = ({ pairs }: PairMatrix, side: 'from' | 'to'): string[] => [
  ...new Set(pairs.map(pair => pair[side])),
]

describe('sigframe matrix', () => {
  test('of the whole catalogue, in 80 columns', async () => {
    const { code, stdout, stderr } = await sigframe(['matrix', '--no-live'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const { id } of generations) expect(stdout).toContain(`\n${id.toUpperCase()}  `)
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
    expect(stdout).toContain('all is predicted')
  })

  test('--json is the matrix, the same as the library has it', async () => {
    const { stdout } = await sigframe(['matrix', '--no-live', '--json'])
    expect(stdout).toBe(matrixJson(createMatrix(catalogue)))
  })

  test('of some generations, sources and destinations, with another ABI', async () => {
    const matrix = await matrixOf([
      ...['--no-live', '--kernel', 'larger', 'classic', '--from', 'zen4', 'haswell'],
      ...['--on', 'ice-lake-sp', '--abi', 'ia32'],
    ])
    expect(matrix.generations).toEqual(['classic', 'larger'])
    expect(matrix.abi).toBe('ia32')
    expect(matrix.hosts.map(({ name }) => name)).toEqual(['haswell', 'ice-lake-sp', 'zen4'])
    expect([sidesOf(matrix, 'from'), sidesOf(matrix, 'to')]).toEqual([['haswell', 'zen4'], ['ice-lake-sp']])
    expect(matrix.pairs).toHaveLength(4)
  })

  test('of one pair, in full', async () => {
    const { code, stdout } = await sigframe(['matrix', '--no-live', '--from', 'zen4', '--on', 'haswell'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^From {2}zen4: /)
    expect(stdout).toMatch(/\nclassic, portable {2}breaks \(predicted\)\n {2}Why {4}silently FX-only/)
  })

  test.runIf(canProbe)(
    'this host is a destination, and a source, and what is sent is as predicted',
    async () => {
      const matrix = await matrixOf(['--on', 'this', '--from', 'this', 'haswell'])
      expect(matrix.hosts.map(({ name, kind }) => [name, kind])).toContainEqual(['this host', 'this host'])
      expect(matrix.hosts.find(({ name }) => name === 'this host')!.here).toBe(true)
      expect(sidesOf(matrix, 'to')).toEqual(['this host'])
      expect(sidesOf(matrix, 'from').toSorted()).toEqual(['haswell', 'this host'])
      const isLive = ({ generation }: Pair): boolean => generation === matrix.kernel!.generation
      for (const pair of matrix.pairs.filter(isLive)) {
        expect(pair.evidence).toBe('live')
        for (const { seen } of pair.frames) expect(seen!.asPredicted).toBe(true)
      }
      expect(matrix.pairs.filter(isLive).length).toBeGreaterThan(0)
    },
  )

  test.runIf(canProbe)('this host is in the matrix unasked, or a CPU like it is marked', async () => {
    const matrix = await matrixOf([])
    expect(matrix.hosts.some(({ here }) => here)).toBe(true)
    const names = matrix.hosts.map(({ name }) => name)
    expect(names.slice(0, catalogue.length)).toEqual(catalogueNames())
    for (const { kind, here } of matrix.hosts.slice(catalogue.length))
      expect([kind, here]).toEqual(['this host', true])
    const { stdout } = await sigframe(['matrix'])
    expect(stdout).toContain("'  live: sent on this host, Linux ")
  })

  test.runIf(canProbe)('with a host that a file tells of', async () => {
    const file = join(folder, 'theirs.json')
    const { stdout } = await sigframe(['info', '--json'])
    writeFileSync(file, stdout)
    const both = await matrixOf(['--no-live', '--with', file, '--kernel', 'classic'])
    expect(both.hosts.map(({ name }) => name)).toEqual([...catalogueNames(), file])
    expect(both.pairs).toHaveLength((catalogue.length + 1) ** 2)
    const on = await matrixOf(['--no-live', '--on', file])
    expect([sidesOf(on, 'from'), sidesOf(on, 'to')]).toEqual([[...catalogueNames()], [file]])
  })

  test('--output writes the matrix, and people are told', async () => {
    const file = join(folder, 'matrix.json')
    const { code, stdout } = await sigframe(['matrix', '--no-live', '--json', '-o', file])
    expect(code).toBe(0)
    expect(stdout).toContain('CLASSIC  ')
    expect(readFileSync(file, 'utf8')).toBe(matrixJson(createMatrix(catalogue)))
    const before = statSync(file).ino
    const wrong = await sigframe(['matrix', '--no-live', '--on', 'nobody', '-o', file])
    expect(wrong.code).toBe(64)
    expect(statSync(file).ino).toBe(before)
  })

  test.each<[string, readonly string[], RegExp]>([
    [
      'a host that is none',
      ['--on', 'nobody'],
      /^sigframe: "nobody" is no host: neither "this", nor a file, nor /,
    ],
    ['a file that is none', ['--with', './nowhere.json'], /nowhere\.json cannot be read \(ENOENT/],
    [
      'another generation',
      ['--kernel', 'newest'],
      /Allowed choices are classic, regressed, portable, larger/,
    ],
    ['another ABI', ['--abi', 'arm64'], /Allowed choices are x86_64/],
    [
      'a file that cannot be written',
      ['-o', '/nowhere/matrix.json'],
      /\/nowhere\/matrix\.json cannot be written/,
    ],
    ['a word too many', ['haswell'], /too many arguments/],
  ])('%s is wrong usage', async (_, words, message) => {
    const { code, stdout, stderr } = await sigframe(['matrix', '--no-live', ...words])
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr.trimEnd()).not.toContain('\n')
  })

  test('survives whoever stops reading', async () => {
    const { code, stdout, stderr } = await inShell('SIGFRAME matrix --no-live --json | head -n 3')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.split('\n')[1]).toBe('  "format": "sigframe matrix",')
  })

  test('where the addon is not there, all is predicted, and why is said', async () => {
    const { code, stdout, stderr } = await sigframe(['matrix', '--from', hostNamed('zen4').name], {
      NODE_OPTIONS: '--no-addons',
    })
    expect(code).toBe(0)
    expect(stderr).toMatch(/^sigframe: nothing is sent: [^\n]+\n$/)
    expect(stdout).not.toContain('live')
  })

  test('--help has examples and exit codes', async () => {
    const { code, stdout } = await sigframe(['matrix', '--help'])
    expect(code).toBe(0)
    expect(stdout).toContain('Exit codes: 0 told; 1 something that was sent is not as predicted')
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
  })
})
