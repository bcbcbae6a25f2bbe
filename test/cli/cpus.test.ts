/** `sigframe cpus`: on any machine. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalogueEntry, catalogueNames } from '../../lib/catalogue/catalogue.ts'
import { cpuFileJson, parseCpuFile } from '../../lib/report/cpu-file.ts'
import { infoJson } from '../../lib/report/info.ts'
import { widthOf } from '../../lib/report/text.ts'
import { host, kernel } from '../report/stub.ts'
import { known } from '../xstate/arbitrary.ts'
import { canProbe, inShell, sigframe } from './sigframe.ts'

const names = catalogueNames()
const withoutAddon = { SIGFRAME_NATIVE_DIR: '/no/such/folder' }
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-cpus-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('all of them', () => {
  test('a line each, in 80 columns, without the addon', async () => {
    const { code, stdout, stderr } = await sigframe(['cpus'], withoutAddon)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const lines = stdout.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^CPU +xfeatures +size$/)
    for (const line of lines) expect(widthOf(line), line).toBeLessThanOrEqual(80)
    expect(
      lines
        .slice(1)
        .map(line => line.split(' ', 1)[0])
        .filter(Boolean),
    ).toEqual(names)
    expect(stdout).toMatch(/^zen4 +0x2e7 +2440 {2}AMD Zen 4, Zen 5: AVX-512, PKU$/m)
    expect(stdout).toMatch(/^nehalem +- +512 {2}/m)
  })

  test('for machines', async () => {
    const { code, stdout } = await sigframe(['cpus', '--json'])
    expect(code).toBe(0)
    const { cpus } = JSON.parse(stdout)
    expect(cpus.map(({ name }: { name: string }) => name)).toEqual(names)
    for (const { xfeatures, size, ...file } of cpus) {
      const entry = await parseCpuFile(JSON.stringify(file), 'x')
      expect(entry).toEqual(catalogueEntry(entry.name))
      expect([BigInt(xfeatures), size]).toEqual([entry.layout.features, entry.layout.size])
    }
  })

  test('to a reader that goes away', async () => {
    const { code, stderr } = await inShell('{ SIGFRAME cpus --json; echo $? >&2; } | head -n 1')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '0\n' })
  })
})

describe.each(names)('%s', name => {
  test('with its sources and its picture, in 80 columns', async () => {
    const { code, stdout } = await sigframe(['cpus', name])
    expect(code).toBe(0)
    for (const line of stdout.split('\n')) expect(widthOf(line), line).toBeLessThanOrEqual(80)
    const { sources, announced } = catalogueEntry(name)
    const flat = stdout.replace(/\s+/g, ' ')
    for (const { kind, text } of sources) expect(flat).toContain(`${kind} ${text}`)
    expect(stdout).toContain('one character is ')
    expect(stdout.includes('only announced')).toBe(announced)
  })
})

test('one for machines is its file', async () => {
  const { stdout } = await sigframe(['cpus', 'zen4', '--json'])
  expect(stdout).toBe(cpuFileJson(catalogueEntry('zen4')))
})

describe('a new one', () => {
  const layout = known('knights-landing')
  const info = infoJson({
    host: host({ compacts: true }),
    kernel: kernel(),
    layout,
    sw: { magic1: 1, extendedSize: 1, xfeatures: layout.features, xstateSize: layout.size },
  })

  test('of a file', async () => {
    const file = join(folder, 'info.json')
    writeFileSync(file, info)
    const { code, stdout, stderr } = await sigframe(['cpus', '--from', file, '--name', 'mine'], withoutAddon)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const entry = await parseCpuFile(stdout, 'x')
    expect(entry).toMatchObject({ name: 'mine', compacts: true, layout })
    // What was printed is a HOST at once.
    writeFileSync(join(folder, 'cpu.json'), stdout)
  })

  test('that is there already: said so beside it', async () => {
    const file = join(folder, 'same.json')
    writeFileSync(file, info.replace('"compacts": true', '"compacts": false'))
    const { code, stdout, stderr } = await sigframe(['cpus', '--from', file, '--name', 'mine'])
    expect(code).toBe(0)
    expect(JSON.parse(stdout).compacts).toBe(false)
    expect(stderr).toBe('sigframe: knights-landing has the same frames: add the model to its cpus instead\n')
  })

  test.skipIf(!canProbe)('of this host, by a pipe', async () => {
    const { code, stdout } = await inShell('SIGFRAME info --json | SIGFRAME cpus --from - --name this-one')
    expect(code).toBe(0)
    expect((await parseCpuFile(stdout, 'x')).sources[0]?.text).toMatch(/^sigframe \S+ info on .+, Linux /)
  })
})

describe('what is refused', () => {
  test.each([
    [['zen9'], `name is "zen9", must be one of ${names.join(' ')}`],
    [['zen4', '--from', 'x'], '--from is for a CPU that is new: leave out zen4, or --from'],
    [['--from', 'x'], '--from needs --name: what to call the CPU'],
    [['--name', 'x'], '--name is for --from: name the CPU alone'],
    [['--from', '/no/such', '--name', 'x'], '/no/such cannot be read (ENOENT: no such file or directory)'],
    [['--from', '/dev/null', '--name', 'x'], '/dev/null is empty'],
  ])('%j', async (words, message) => {
    const { code, stdout, stderr } = await sigframe(['cpus', ...words])
    expect({ code, stdout, stderr }).toEqual({ code: 64, stdout: '', stderr: `sigframe: ${message}\n` })
  })
})
