import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EditOp } from '../../lib/frame/edit.ts'
import { openSync } from '../../lib/probe/session.ts'
import { probeFileJson, type SavedProbe } from '../../lib/report/probe-file.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { compiled, needsGcc, ran } from '../reproducer/compiler.ts'
import { known } from '../xstate/arbitrary.ts'
import { canProbe, inShell, sigframe } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-explain-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

/** As no machine that these tests are likely to run on has it: MPX and protection keys, without AVX-512. */
const elsewhere = known('zen4').withFeatures(0x207n)

const probeOf = (
  edit: readonly EditOp[],
  change: Partial<SavedProbe> = {},
  layout = elsewhere,
): SavedProbe => ({
  host: null,
  layout,
  permissions: [],
  abi: 'x86_64',
  raise: 'tgkill',
  stack: null,
  load: randomImage(layout, { seed: 1 }),
  poison: randomImage(layout, { seed: 2 }),
  edit,
  kernel: null,
  finding: null,
  ...change,
})

let written = 0

const fileOf = (content: SavedProbe | string | object): string => {
  written += 1
  const file = join(folder, `probe-${written}.json`)
  const text =
    typeof content === 'string'
      ? content
      : 'layout' in content && 'size' in (content.layout as object)
        ? probeFileJson(content as SavedProbe)
        : JSON.stringify(content)
  writeFileSync(file, text)
  return file
}

const small = (layout: Layout = elsewhere): readonly EditOp[] => [
  // MAGIC2 lies on bytes that any register takes.
  { op: 'resize', xstateSize: layout.end('avx') },
  { op: 'magic2' },
]

/** Hangs on the CPU: a format that no kernel writes. */
const compacted: readonly EditOp[] = [{ op: 'set', field: 'xcompBv', value: 1n << 63n }]

const finding = {
  seed: 1,
  index: 2,
  generation: 'portable',
  expected: 'rejected with SIGSEGV',
  observed: 'returned',
  differences: [],
}

test('--help has examples, and keeps to 80 columns', async () => {
  const { code, stdout, stderr } = await sigframe(['explain', '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/\n {2}sigframe explain sigframe-fuzz-1-1\.json --kernel larger --c repro\.c\n/)
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
})

describe('a frame of another machine', () => {
  test('for people', async () => {
    const { code, stdout, stderr } = await sigframe([
      'explain',
      fileOf(probeOf(small())),
      '--kernel',
      'portable',
    ])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^Frame {5}x86_64, tgkill; \d+ bytes: x87 sse avx pkru\n {2}edit /)
    expect(stdout).toContain('\nOutcome   rejected with SIGSEGV, by too-small-is-rejected\n')
    expect(stdout).not.toContain('\u001b')
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  })

  test('for machines', async () => {
    const { code, stdout, stderr } = await sigframe(['explain', fileOf(probeOf(small())), '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      generation: 'classic',
      outcome: 'restored',
      rule: null,
      asked: false,
    })
  })

  test.each<[string, Partial<SavedProbe>, string[], string]>([
    ['asked for', { finding }, ['--kernel', 'larger'], 'larger'],
    ['of the finding', { finding, kernel: { release: 'x', generation: 'classic' } }, [], 'portable'],
    ['of the kernel', { kernel: { release: 'x', generation: 'regressed' } }, [], 'regressed'],
    ['the oldest', { kernel: { release: 'x', generation: null } }, [], 'classic'],
    [
      'asked for, where the file’s is unknown',
      { finding: { ...finding, generation: 'x' } },
      ['--kernel', 'portable'],
      'portable',
    ],
  ])('the generation is that %s', async (_, change, words, wanted) => {
    const { stdout } = await sigframe(['explain', fileOf(probeOf(small(), change)), '--json', ...words])
    expect(JSON.parse(stdout).generation).toBe(wanted)
  })

  test.each<[string, Record<string, string>]>([
    [
      'that cannot probe',
      { NODE_OPTIONS: `--import=data:text/javascript,Object.defineProperty(process,'arch',{value:'arm64'})` },
    ],
    ['whose addon is gone', { SIGFRAME_NATIVE_DIR: '/no/such/folder' }],
  ])('is explained on a machine %s', async (_, env) => {
    const { code, stdout, stderr } = await sigframe(['explain', fileOf(probeOf(small())), '--json'], env)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout).outcome).toBe('restored')
  })

  test('with permissions that this machine does not give', async () => {
    const large = known('sapphire-rapids-tiles')
    const file = fileOf(probeOf([], { permissions: ['xtiledata', 'apx'] }, large))
    const { code, stdout } = await sigframe(['explain', file])
    expect(code).toBe(0)
    expect(stdout).toContain('\nOutcome   restored by XRSTOR\n')
  })

  test('hangs on a CPU that is not here: one line, exit code 70', async () => {
    const file = fileOf(probeOf(compacted))
    expect(await sigframe(['explain', file])).toMatchObject({
      code: 70,
      stdout: '',
      stderr: `sigframe: ${file}: it hangs on what the CPU makes of odd bytes: ask on a machine whose tasks have the layout of this frame\n`,
    })
  })

  test('hangs on bytes that nobody knows: one line, exit code 70', async () => {
    const file = fileOf(probeOf([{ op: 'pointer', by: -64 }]))
    expect(await sigframe(['explain', file])).toMatchObject({
      code: 70,
      stdout: '',
      stderr: `sigframe: ${file}: it hangs on bytes that the frame leaves to chance\n`,
    })
  })

  test('| head -1', async () => {
    const { code, stderr } = await inShell(`SIGFRAME explain ${fileOf(probeOf([]))} | head -1`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})

describe('as C', () => {
  test('that compiles, and says that it is of another layout', async ctx => {
    const c = join(folder, 'frame.c')
    const { code, stdout, stderr } = await sigframe(['explain', fileOf(probeOf(small())), '--c', c])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout.endsWith(`\nAs C: ${c}\n`)).toBe(true)
    const source = readFileSync(c, 'utf8')
    expect(source).toContain('Expected of classic kernels: restored by XRSTOR.')
    needsGcc(ctx)
    if (process.platform !== 'linux' || process.arch !== 'x64') ctx.skip('it is for x86-64 Linux')
    expect(ran(compiled(source)).code).toBe(4)
  })

  test('and for machines: JSON alone on stdout', async () => {
    const c = join(folder, 'json.c')
    const { stdout } = await sigframe(['explain', fileOf(probeOf(small())), '--c', c, '--json'])
    expect(JSON.parse(stdout).outcome).toBe('restored')
    expect(readFileSync(c, 'utf8')).toContain('int main(')
  })

  test.each<[string, EditOp[], Partial<SavedProbe>, RegExp]>([
    [
      'registers',
      [{ op: 'set', field: 'head.rip', value: 1 }],
      {},
      /has more to say, of registers or of a stack/,
    ],
    [
      'a stack',
      [],
      { stack: { bytes: 2048, state: 'plain' } },
      /has more to say, of registers or of a stack/,
    ],
    [
      'keys that close the memory of whoever sends it',
      [{ op: 'write', at: elsewhere.offset('pkru'), bytes: '03' }],
      {},
      /may not live to tell: sent\.pkru/,
    ],
  ])('%s: explained with a word on it, and no C program', async (_, edit, change, why) => {
    const c = join(folder, 'caveat.c')
    const { code, stdout, stderr } = await sigframe(['explain', fileOf(probeOf(edit, change)), '--c', c])
    expect(code).toBe(70)
    expect(stdout.replace(/\s+/g, ' ')).toMatch(why)
    expect(stderr).toMatch(why)
    expect(stderr.split('\n')).toHaveLength(2)
    expect(existsSync(c)).toBe(false)
  })

  test('where C cannot do it: said so, and no file', async () => {
    const late = fileOf(probeOf([{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'late' }]))
    const c = join(folder, 'late.c')
    const { code, stderr } = await sigframe(['explain', late, '--c', c])
    expect({ code, stderr }).toEqual({
      code: 70,
      stderr: `sigframe: ${c} was not written: the C program has no pages that are late\n`,
    })
    expect(() => readFileSync(c)).toThrow('ENOENT')
  })
})

describe('wrong usage: one line on stderr, nothing on stdout, exit code 64', () => {
  const good = () => JSON.parse(probeFileJson(probeOf(small(), { finding })))

  test.each<[string, () => string[], RegExp]>([
    ['no file', () => [], /^missing required argument 'file'; see sigframe explain --help$/],
    ['two files', () => ['a', 'b'], /^too many arguments for 'explain'/],
    [
      'a missing one',
      () => [join(folder, 'no.json')],
      /no\.json cannot be read \(ENOENT: no such file or directory\)$/,
    ],
    ['a folder', () => [folder], / cannot be read \(EISDIR: illegal operation on a directory\)$/],
    ['no text', () => [fileOf('')], /\.json is empty$/],
    ['no JSON', () => [fileOf('hello')], /\.json is not JSON: /],
    [
      'a truncated one',
      () => [fileOf(probeFileJson(probeOf([])).slice(0, 300))],
      /is not JSON: it ends too early/,
    ],
    ['no probe', () => [fileOf('[]')], /\.json: the frame or probe must be an object, not /],
    [
      'another format',
      () => [fileOf({ ...good(), format: 'sigframe bundle' })],
      /: format is "sigframe bundle", must be one of "sigframe frame" "sigframe probe"$/,
    ],
    ['another version', () => [fileOf({ ...good(), version: 2 })], /: version is 2, must be 1$/],
    [
      'a short image',
      () => [fileOf({ ...good(), load: '00' })],
      /: load\.length is 2, must be \d+: two digits a byte$/,
    ],
    [
      'an edit that is none',
      () => [fileOf({ ...good(), edit: [{ op: 'grow' }] })],
      /: edit\[0\]\.op is "grow", must be one of /,
    ],
    [
      'a hostile name',
      () => [fileOf({ ...good(), abi: '\u001b[2J\n'.repeat(1e4) })],
      /: abi is "\\u001b\[2J\\n/,
    ],
    [
      'a generation that is none',
      () => [fileOf({ ...good(), finding: { ...finding, generation: 'mod\u001bern' } })],
      /\.json names the generation "mod\\u001bern", of which nothing is known here: --kernel one of classic regressed portable larger$/,
    ],
    [
      'a generation of all objects',
      () => [fileOf({ ...good(), finding: { ...finding, generation: '__proto__' } })],
      / names the generation "__proto__", /,
    ],
    [
      'a wrong --kernel',
      () => ['x', '--kernel', 'modern'],
      /Allowed choices are classic, regressed, portable, larger; see sigframe explain --help$/,
    ],
    [
      '--c to a folder',
      () => [fileOf(probeOf([])), '--c', folder],
      /^--c .* is a folder: name a file in it$/,
    ],
    [
      '--c to nowhere',
      () => [fileOf(probeOf([])), '--c', join(folder, 'no/x.c')],
      /^--c .* cannot be written: ENOENT/,
    ],
  ])('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await sigframe(['explain', ...words()])
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: [^\n]{1,700}\n$/)
    expect(stderr).not.toMatch(/[^\n\P{C}]/u)
    expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
    expect(code).toBe(64)
  })

  test('what a file says does not reach the terminal as it is', async () => {
    const bad = '\u001b[2Jforged\n\u202e'
    const file = fileOf(
      probeOf([], {
        finding: { ...finding, observed: bad, expected: bad },
        kernel: { release: bad, generation: null },
      }),
    )
    const { code, stdout } = await sigframe(['explain', file])
    expect(code).toBe(0)
    expect(stdout).toContain('\\x1b[2Jforged')
    expect(stdout).not.toMatch(/[^\n\P{C}]/u)
  })
})

describe.skipIf(!canProbe)('a frame of this machine', () => {
  const layoutHere = async (): Promise<Layout> => {
    const probe = openSync()
    const { layout } = probe
    await probe.close()
    return layout
  }

  test('has its CPU asked', async ctx => {
    const layout = await layoutHere()
    if (!layout.xsave) ctx.skip('this host has no XSAVE')
    const reserved: readonly EditOp[] = [{ op: 'write', at: 528, bytes: '01' }]
    const file = fileOf(probeOf(reserved, {}, layout))
    const { code, stdout, stderr } = await sigframe(['explain', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(
      /\nOutcome {3}rejected with SIGSEGV, by reserved-header-is-rejected\n {10}as this CPU says of the odd bytes in it\n/,
    )
  })

  test('is C that runs here', async ctx => {
    needsGcc(ctx)
    const layout = await layoutHere()
    if (!layout.xsave) ctx.skip('this host has no XSAVE')
    mkdirSync(join(folder, 'here'))
    const codes: Record<string, number | null> = {}
    // Rejected by all kernels, and expected otherwise by none.
    const file = fileOf(probeOf([{ op: 'pointer', address: 8n }], {}, layout))
    for (const kernel of ['classic', 'portable']) {
      const c = join(folder, 'here', `${kernel}.c`)
      expect((await sigframe(['explain', file, '--kernel', kernel, '--c', c])).code).toBe(0)
      codes[kernel] = ran(compiled(readFileSync(c, 'utf8'))).code
    }
    expect(codes).toEqual({ classic: 0, portable: 0 })
  })
})
