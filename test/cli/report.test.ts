/** `sigframe report`, as users start it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundleJson, toJson } from '../../lib/report/json.ts'
import { vmJson } from '../../lib/report/vm/json.ts'
import { sampleCollection, samplePairs } from '../report/collection-samples.ts'
import { inShell, sigframe } from './sigframe.ts'

let folder: string
let results: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-report-'))
  results = join(folder, 'results')
  mkdirSync(results)
  const { hosts, vms } = sampleCollection()
  for (const { name, bundle } of hosts)
    if (bundle !== null) writeFileSync(join(results, `${name}.json`), bundleJson(bundle))
  writeFileSync(join(results, 'machines.json'), vmJson((vms[0] as (typeof vms)[number]).report))
  writeFileSync(join(results, 'pairs.json'), toJson(samplePairs(['zen4', 'haswell'])))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const inFolder = (name: string): string => join(folder, name)

describe('pages', () => {
  test('as HTML, by the ending; what is missing is an error in it', async () => {
    const file = inFolder('report.html')
    const { code, stdout, stderr } = await sigframe([
      'report',
      results,
      '--expect',
      'web-1',
      'gone',
      '-o',
      file,
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^Written: \S+report\.html, \d+ kB; 4 errors, 21 failed\.\n$/)
    const text = readFileSync(file, 'utf8')
    expect(text).toMatch(/^<!doctype html>/)
    expect(text).toMatch(/gone<\/a><\/th>[\s\S]{0,100}ERROR/)
    for (const told of ['web-2', 'debian:6.16.3', 'zen4 to haswell', 'Pairs of CPUs'])
      expect(text).toContain(told)
    // By which command it is made again.
    expect(text).toContain(`--expect web-1 gone -o ${file}`)
  })

  test('as Markdown, by the ending', async () => {
    const file = inFolder('report.md')
    expect(await sigframe(['report', join(results, 'web-2.json'), '-o', file])).toMatchObject({
      code: 0,
      stderr: '',
    })
    const text = readFileSync(file, 'utf8')
    expect(text).toMatch(/^# sigframe: 1 failed\n/)
    expect(text).toContain('```diff')
  })

  test.each([
    [['--format', 'markdown'], /^# sigframe: /],
    [['--format', 'markdown', '-o', '-'], /^# sigframe: /],
    [['--format', 'html'], /^<!doctype html>/],
    [['--format', 'html', '-o', '-'], /^<!doctype html>/],
  ])('to standard output: %j', async (words, wanted) => {
    const { code, stdout, stderr } = await sigframe(['report', results, ...words])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(wanted)
  })

  test('from standard input', async () => {
    const script = `cat "${join(results, 'web-1.json')}" | SIGFRAME report - --format markdown`
    expect(await inShell(script)).toMatchObject({ code: 0, stderr: '' })
  })

  test('a reader that has seen enough', async () => {
    const { stdout, stderr } = await inShell(`SIGFRAME report "${results}" --format html | head -c 15`)
    expect({ stdout, stderr }).toEqual({ stdout: '<!doctype html>', stderr: '' })
  })

  test('a file that cannot be read is told of in the page, beside the others', async () => {
    const broken = inFolder('broken.json')
    writeFileSync(broken, '{"bundleVersion": 1')
    const { code, stdout } = await sigframe([
      'report',
      broken,
      join(results, 'web-1.json'),
      '--format',
      'markdown',
    ])
    expect(code).toBe(0)
    expect(stdout).toMatch(/\| `broken` \| \*\*⛔ ERROR\*\* \| \*\*.*cut off/)
    expect(stdout).toContain('`web-1`')
  })
})

describe('mistakes', () => {
  test.each([
    [['report'], /missing required argument/],
    [['report', 'FILE'], /-o names the file/],
    [['report', 'FILE', '-o', '-'], /-o names the file/],
    [['report', 'FILE', '-o', 'page.pdf'], /page\.pdf does not say how/],
    [['report', 'FILE', '-o', '/nowhere/at/all.html'], /cannot be written/],
    [['report', 'FILE', '--format', 'pdf'], /Allowed choices are html, markdown/],
    [['report', '/nowhere.json', '-o', 'OUT.html'], /nowhere\.json/],
  ])('%j', async (words, wanted) => {
    const { code, stdout, stderr } = await sigframe(
      words.map(word =>
        word === 'FILE' ? join(results, 'web-1.json') : word.replace('OUT', inFolder('out')),
      ),
    )
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(wanted)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  test('nothing is left behind', () => {
    expect(existsSync(inFolder('out.html'))).toBe(false)
    expect(readdirSync(folder).filter(name => name.includes('.tmp'))).toEqual([])
  })
})

test('the help has examples and exit codes, in 80 columns', async () => {
  const { code, stdout } = await sigframe(['report', '--help'])
  expect(code).toBe(0)
  expect(stdout).toContain('Exit codes:')
  expect(stdout).toContain('sigframe report host-a.json host-b.json -o report.html')
  expect(Math.max(...stdout.split('\n').map(line => line.length))).toBeLessThanOrEqual(80)
})
