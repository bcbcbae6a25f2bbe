/** `sigframe run --c`: what would be run, as a C program. On any machine, where a layout is named. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compiled, needsGcc, ran } from '../reproducer/compiler.ts'
import { sigframe } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-run-c-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const withoutAddon = { ...process.env, SIGFRAME_NATIVE_DIR: '/nonexistent' }

describe('for the frames of another CPU', () => {
  test('a selftest: C that compiles, says what it lacks, and needs no addon to be made', async ctx => {
    const c = join(folder, 'selftest.c')
    const words = ['run', 'xsave_header', '--layout', 'diamond-rapids', '--c', c]
    const { code, stdout, stderr } = await sigframe(words, withoutAddon)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe(`Written: ${c}; gcc -O2 compiles it, and it runs by itself.\n`)
    const source = readFileSync(c, 'utf8')
    expect(source).toContain('TAP version 13')
    needsGcc(ctx)
    if (process.platform !== 'linux' || process.arch !== 'x64') ctx.skip('it is for x86-64 Linux')
    expect([0, 1, 4]).toContain(ran(compiled(source)).code)
  })

  test('one case: a reproducer, and the same each time', async () => {
    const files = ['one.c', 'two.c'].map(name => join(folder, name))
    for (const file of files) {
      const words = ['run', 'fx_only_fallback/magic1_zero/ia32/all', '--layout', 'zen4', '--c', file]
      expect((await sigframe(words, withoutAddon)).code).toBe(0)
    }
    const [one, two] = files.map(file => readFileSync(file, 'utf8'))
    expect(one).toBe(two)
    expect(one).toContain('fx_only_fallback/magic1_zero/ia32/all')
    expect(one).not.toContain('TAP version')
  })

  test('what is newer than kernels may be is an XFAIL, but where it is demanded', async () => {
    const sources: string[] = []
    for (const more of [[], ['--require', 'portable']]) {
      const c = join(folder, 'newer.c')
      await sigframe(['run', 'fx_only_fallback', '--layout', 'zen4', '--c', c, ...more], withoutAddon)
      sources.push(readFileSync(c, 'utf8'))
    }
    const [lenient, strict] = sources
    expect(lenient).toContain('"since portable: 3d69596c684b..391cac638edd"')
    expect(strict).not.toContain('"since portable: ')
  })
})

describe('what cannot be', () => {
  test.each<[string, string[], RegExp]>([
    ['nothing named', [], /--c writes one selftest, or one case: name it/],
    [
      'two selftests',
      ['cet', 'pkru'],
      /name is "cet pkru", which selects 2 selftests: a C program is of one/,
    ],
    ['nothing that there is', ['nope'], /which selects no case: the selftests are cet /],
    ['more than frames', ['drawn_frames'], /of which nothing can be a C program: it is more than one frame/],
    ['a run as well', ['cet', '--json'], /--c writes a C program and runs nothing/],
    [
      'a CPU that nobody knows',
      ['cet', '--layout', 'zen44'],
      /layout is "zen44", must be one of .* zen3 zen4/,
    ],
  ])('%s: one line, 64, and no file', async (_, words, message) => {
    const c = join(folder, 'none.c')
    const layout = words.includes('--layout') ? [] : ['--layout', 'zen4']
    const { code, stdout, stderr } = await sigframe(['run', ...words, ...layout, '--c', c], withoutAddon)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr.split('\n')).toHaveLength(2)
    expect(existsSync(c)).toBe(false)
  })

  test('a layout without a C program', async () => {
    const { code, stderr } = await sigframe(['run', '--layout', 'zen4'])
    expect({ code, stderr }).toEqual({
      code: 64,
      stderr: 'sigframe: --layout is for --c: this host has its own\n',
    })
  })
})
