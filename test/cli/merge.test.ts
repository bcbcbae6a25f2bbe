import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCollection } from '../../lib/report/collection.ts'
import { bundleJson } from '../../lib/report/json.ts'
import { absent, bundleOf, hostOf } from '../merge/samples.ts'
import { bundle, result } from '../report/stub.ts'
import { canProbe, ended, main, sigframe, start } from './sigframe.ts'

let folder: string

const merge = (words: readonly string[]) => ended(start(['merge', ...words], { cwd: folder }))
const at = (name: string): string => join(folder, name)

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-merge-'))
  mkdirSync(at('results'))
  mkdirSync(at('nothing'))
  writeFileSync(at('results/host-a.json'), bundleJson(bundleOf(1)))
  writeFileSync(at('results/host-b.json'), bundleJson(bundleOf(2)))
  writeFileSync(at('failed.json'), bundleJson(bundle([result('fail')])))
  writeFileSync(at('skipped.json'), bundleJson(bundle([result('skip')])))
  writeFileSync(at('cut.json'), '{"bundleVersion": 1, "tool": {')
  writeFileSync(at('names.txt'), 'host-a\r\n\n  host-b  \nhost-c')
  writeFileSync(at('no-names.txt'), '\n')
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

describe('exit codes', () => {
  test.each<[string, readonly string[], number]>([
    ['all passed', ['results'], 0],
    ['one failed', ['results', 'failed.json'], 1],
    ['nothing ran on one', ['results', 'skipped.json'], 70],
    ['one cannot be read, and one failed', ['cut.json', 'failed.json'], 70],
    ['one is missing', ['results', '--expect', 'host-a', 'host-c'], 70],
    ['all are missing', ['nothing', '--expect', 'host-a'], 70],
    ['all are there', ['results', '--expect', 'host-a', 'host-b'], 0],
    ['one of a list is missing', ['results', '--expect-file', 'names.txt'], 70],
  ])('%s', async (_, words, code) => {
    const found = await merge([...words])
    expect(found.stderr).toBe('')
    expect(found.code).toBe(code)
    expect(found.stdout).toMatch(code === 0 ? /\nPASS / : code === 1 ? /\nFAIL / : /\nERROR /)
  })
})

describe('wrong usage: one line on stderr, nothing on stdout, exit code 64', () => {
  test.each<[readonly string[], RegExp]>([
    [[], /^missing required argument 'file'; see sigframe merge --help$/],
    [['none.json'], /^none\.json cannot be read \(ENOENT: no such file or directory\)$/],
    [['nothing'], /^there is no \*\.json in nothing$/],
    [['--expect', 'a', 'failed.json'], /^missing required argument 'file'/],
    [
      ['results', '--expect', 'a', 'failed.json'],
      /^--expect failed\.json is a file: files stand before --expect$/,
    ],
    [['results', '--expect', ''], /^expected is "", must be a name of 1 to 200 printable characters$/],
    [['results', '--expect-file', 'none'], /^none cannot be read \(ENOENT: /],
    [['results', '--expect-file', 'no-names.txt'], /^--expect-file no-names\.txt names no host$/],
    [['results', '-o', 'none/x.json'], /^--output none\/x\.json cannot be written: ENOENT/],
    [['results', '--format', 'json'], /^unknown option '--format'/],
    [['-', '-'], /^- is given twice: standard input can be read once$/],
  ])('%j', async (words, message) => {
    const { code, stdout, stderr } = await merge([...words])
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: .+\n$/)
    expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
    expect(code).toBe(64)
  })
})

describe('what is written', () => {
  test('with -o a file, and a table', async () => {
    const { code, stdout } = await merge([
      'results',
      'cut.json',
      '-o',
      'all.json',
      '--expect',
      'host-a',
      'host-c',
    ])
    expect(code).toBe(70)
    expect(stdout).toMatch(/^Host {4}Result .*\nhost-a {2}PASS /)
    expect(stdout).toMatch(/\nERROR {2}cut: cut\.json is not JSON: .*\nERROR {2}host-c: it was expected/)
    const all = await readCollection(at('all.json'))
    expect(all.hosts.filter(({ name }) => name !== 'cut')).toEqual([
      hostOf('host-a', 1),
      hostOf('host-b', 2),
      absent('host-c'),
    ])
    // Again, and into itself: what it says already is not said twice.
    const before = readFileSync(at('all.json'), 'utf8')
    await merge(['all.json', 'results', '-o', 'all.json'])
    expect(readFileSync(at('all.json'), 'utf8')).toBe(before)
  })

  test('with --json the same on standard output', async () => {
    const { code, stdout, stderr } = await merge(['results', '-o', 'two.json', '--json'])
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toBe(readFileSync(at('two.json'), 'utf8'))
    expect(JSON.parse(stdout).hosts).toHaveLength(2)
  })

  test('nothing where what is asked for cannot be', async () => {
    await merge(['results', 'none.json', '-o', 'never.json'])
    expect(existsSync(at('never.json'))).toBe(false)
  })

  test('into a pipe, as it is', async () => {
    const child = spawn(
      'sh',
      ['-c', '"$0" "$1" merge results -o /dev/fd/3 3>&1 > /dev/null | cat', process.execPath, main],
      {
        cwd: folder,
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const { stdout } = await ended(child)
    expect(JSON.parse(stdout).hosts).toHaveLength(2)
  })
})

test('standard input is a host, too', async () => {
  const child = spawn(process.execPath, [main, 'merge', '-', 'results/host-b.json', '--json'], {
    cwd: folder,
  })
  child.stdin.end(readFileSync(at('results/host-a.json')))
  const { code, stdout } = await ended(child)
  expect(code).toBe(0)
  expect(JSON.parse(stdout).hosts.map(({ name }: { name: string }) => name)).toEqual(['stdin', 'host-b'])
})

test('a reader that goes away changes nothing', async () => {
  const child = spawn(
    'sh',
    ['-c', '("$0" "$1" merge results --json; echo "$?" >&2) | head -c 10', process.execPath, main],
    {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  expect(await ended(child)).toMatchObject({ code: 0, stdout: '{"format":', stderr: '0\n' })
})

test('the help has examples, and keeps to 80 columns', async () => {
  const { code, stdout } = await sigframe(['merge', '--help'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/Exit codes: 0 every host ran and passed;[\s\S]*Examples:\n {2}sigframe merge /)
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})

test.skipIf(!canProbe)('what this host ran is merged and reported', async () => {
  mkdirSync(at('own'))
  const here = (words: readonly string[]) => ended(start(words, { cwd: at('own') }))
  const ran = await here(['run', 'sigframe_fpu_portability', '--output', 'here.json'])
  const merged = await here(['merge', '.', '--expect', 'here', 'elsewhere', '-o', 'all.json'])
  expect([0, 1]).toContain(ran.code)
  expect(merged.code).toBe(70)
  const { hosts } = await readCollection(at('own/all.json'))
  expect(hosts.map(({ name, problem }) => [name, problem === null])).toEqual([
    ['here', true],
    ['elsewhere', false],
  ])
  expect(hosts[0]?.bundle).toEqual(JSON.parse(readFileSync(at('own/here.json'), 'utf8')))
  expect((await here(['report', 'all.json', '-o', 'report.html'])).code).toBe(0)
  expect(readFileSync(at('own/report.html'), 'utf8')).toContain('elsewhere')
})
