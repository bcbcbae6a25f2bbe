import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { catalogueLayout } from '../../lib/catalogue/catalogue.ts'
import type { LintedFrame } from '../../lib/frame/lint/finding.ts'
import { frameFileJson, parseFrameFile } from '../../lib/report/frame-file.ts'
import type { Layout } from '../../lib/xstate/layout.ts'
import { buildCore, components, layoutNote, layoutWith, placeFrame, xstateNote } from '../elf/builder.ts'
import { changed, goodFrame } from '../frame/lint-frames.ts'
import { needsGcc } from '../reproducer/compiler.ts'
import { canProbe, inShell, sigframe } from './sigframe.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-cli-lint-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const zen4 = catalogueLayout('zen4')

let written = 0

const fileOf = (content: Uint8Array | string, suffix = ''): string => {
  written += 1
  const file = join(folder, `file-${written}${suffix}`)
  writeFileSync(file, content)
  return file
}

const frameFile = (frame: LintedFrame, layout: Layout = zen4): string =>
  fileOf(
    frameFileJson({
      source: 'captured',
      origin: '',
      host: null,
      kernel: null,
      layout,
      permissions: [],
      ...frame,
      image: null,
      seed: null,
    }),
    '.json',
  )

const good = () => frameFile(goodFrame(zen4))
const wrong = () => frameFile(changed(goodFrame(zen4), ({ area }) => area(zen4.size, 4, 0)))
const doubtful = () =>
  frameFile(
    changed(goodFrame(zen4), ({ bytes }) => {
      bytes[500] = 1
    }),
  )

const base = 0x7ffd_0000_0000n
const pid = 4711

/** A process in a handler, below whose stack lies a frame that was returned from. */
const coreBytes = (change: (memory: Uint8Array) => void = () => undefined): Buffer => {
  const layout = layoutWith(0x202e7n)
  const memory = new Uint8Array(0x10000)
  const fields = { ss: 0x2bn }
  placeFrame(memory, base, { layout, address: base + 0x1000n, seed: 3, fields })
  const { start } = placeFrame(memory, base, { layout, address: base + 0x8000n, seed: 4, fields })
  change(memory)
  return buildCore({
    threads: [{ pid, rsp: start - 64n }],
    segments: [{ address: base, bytes: memory }],
    notes: [xstateNote(0x602e7n), layoutNote(components)],
  })
}

test('--help has examples, and keeps to 80 columns', async () => {
  const { code, stdout, stderr } = await sigframe(['lint', '--help'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/Examples:\n {2}sigframe lint frame\.json\n/)
  expect(stdout).toContain('Exit codes: 0 no errors; 1 a frame with errors')
  for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
})

describe('frame files', () => {
  test('a good one: exit code 0', async () => {
    const file = good()
    const { code, stdout, stderr } = await sigframe(['lint', file])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain('\n  ok      nothing is wrong with it\n')
    expect(stdout.endsWith('\n1 frame, 0 errors, 0 warnings, 0 notes\n')).toBe(true)
  })

  test.each<[string, () => string[], number]>([
    ['one with an error', () => [wrong()], 1],
    ['a good and a bad one', () => [good(), wrong()], 1],
    ['one with a warning', () => [doubtful()], 0],
    ['one with a warning, strictly', () => [doubtful(), '--strict'], 1],
    ['a good one, strictly', () => [good(), '--strict'], 0],
    ['a good one of another CPU', () => [good(), '--cpu', 'ice-lake-sp'], 1],
  ])('%s: exit code', async (_, words, code) => {
    expect(await sigframe(['lint', ...words()])).toMatchObject({ code, stderr: '' })
  })

  test('what is wrong is named, with who else had it', async () => {
    const { stdout } = await sigframe(['lint', wrong()])
    expect(stdout).toContain('\n  error   magic2-missing: MAGIC2 (at xstate_size, 2440) is 0x0, must be\n')
    expect(stdout).toContain('seen in DynamoRIO (DynamoRIO/dynamorio#3812)')
    expect(stdout).not.toContain('\u001b')
    for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  })

  test('for machines', async () => {
    const { code, stdout } = await sigframe(['lint', wrong(), good(), '--json'])
    expect(code).toBe(1)
    const { counts, files } = JSON.parse(stdout)
    expect(counts).toMatchObject({ frames: 2, errors: 1 })
    expect(files[0].frames[0].findings[0].check).toBe('magic2-missing')
    expect(files[1]).toMatchObject({
      kind: 'frame file',
      frames: [{ findings: [], cpu: { source: 'file' } }],
    })
  })

  test('from standard input, and into a pipe that ends', async () => {
    expect((await inShell(`SIGFRAME lint - < ${good()}`)).code).toBe(0)
    const { code, stdout, stderr } = await inShell(`SIGFRAME lint ${good()} ${good()} | head -1`)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/: frame file, 1 frame\n$/)
  })

  test('colours where they are asked for', async () => {
    const { stdout } = await sigframe(['lint', wrong()], { FORCE_COLOR: '1' })
    expect(stdout).toContain('\u001b[31m  error ')
  })
})

describe('core files', () => {
  test('have every frame told, with where it is and of whom', async () => {
    const { code, stdout, stderr } = await sigframe(['lint', fileOf(coreBytes())])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/: core file, 2 frames; 1 thread\n/)
    const flat = stdout.replace(/\s+/g, ' ')
    expect(flat).toMatch(/Frame x86_64, at 0x7ffd00001000, at offset 0x[0-9a-f]+ of the file, left over says/)
    expect(flat).toMatch(
      /Frame x86_64, at 0x7ffd00008000, at offset 0x[0-9a-f]+ of the file, in flight, of thread 4711/,
    )
    expect(flat).toContain('CPU 2816 bytes, as the core file says')
  })

  test('what is wrong with a frame in flight counts, not with one left over', async () => {
    const without = (at: number) => (memory: Uint8Array) => {
      memory.fill(0, at + 2816, at + 2820)
    }
    const one = await sigframe(['lint', fileOf(coreBytes(without(0x1000)))])
    expect(one.stdout.replace(/\s+/g, ' ')).toContain('(1 error and 0 warnings of these in frames left over')
    expect(one.code).toBe(0)
    expect((await sigframe(['lint', fileOf(coreBytes(without(0x8000)))])).code).toBe(1)
  })

  test('without a frame are no error', async () => {
    const file = fileOf(buildCore({ segments: [{ address: base, bytes: new Uint8Array(8192) }] }))
    const { code, stdout } = await sigframe(['lint', file])
    expect(code).toBe(0)
    expect(stdout).toMatch(/: core file, no frames; 0 threads/)
  })

  test('are not searched in a pipe, and it is said what to do', async () => {
    const { code, stdout, stderr } = await inShell(`cat ${fileOf(coreBytes())} | SIGFRAME lint -`)
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
    expect(stderr).toBe(
      'sigframe: /dev/stdin is an ELF file, no frame: sigframe lint FILE --save PREFIX keeps the frames of a core file, which must be a file on disk: a pipe cannot be searched\n',
    )
  })

  test('on standard input that is a file are searched', async () => {
    const { code, stdout } = await inShell(`SIGFRAME lint - < ${fileOf(coreBytes())}`)
    expect(code).toBe(0)
    expect(stdout).toMatch(/: core file, 2 frames; 1 thread\n/)
  })

  test.each([
    ['explain', []],
    ['replay', []],
    ['translate', ['--to', 'zen4', '-']],
  ])('%s tells how to get at the frames of one', async (command, words) => {
    const large = Buffer.concat([coreBytes(), new Uint8Array(32 << 20)])
    for (const core of [coreBytes(), large]) {
      const { code, stdout, stderr } = await sigframe([command, fileOf(core), ...words])
      expect({ code, stdout }).toEqual({ code: 64, stdout: '' })
      expect(stderr).toMatch(
        /^sigframe: [^\n]+ is an ELF file, no frame( or probe)?: sigframe lint FILE --save PREFIX keeps [^\n]+\n$/,
      )
    }
  })

  test('--save writes each frame, as lint, explain and others take them', async () => {
    const file = fileOf(coreBytes())
    mkdirSync(join(folder, 'saved'))
    const prefix = join(folder, 'saved', 'frame')
    const { code, stdout } = await sigframe(['lint', file, '--save', prefix, '--json'])
    expect(code).toBe(0)
    expect(readdirSync(join(folder, 'saved')).sort()).toEqual(['frame-1.json', 'frame-2.json'])
    const { frames } = JSON.parse(stdout).files[0]
    expect(frames.map(({ savedAs }: { savedAs: string }) => savedAs)).toEqual([
      `${prefix}-1.json`,
      `${prefix}-2.json`,
    ])
    const saved = await parseFrameFile(readFileSync(`${prefix}-2.json`, 'utf8'), 'x')
    expect(saved).toMatchObject({ source: 'cut out', address: base + 0x8000n, abi: 'x86_64' })
    expect(saved.origin).toBe(`${file}, offset 0x${frames[1].offset.toString(16)}, in flight, thread ${pid}`)
    expect(saved.head).not.toBeNull()
    expect((await sigframe(['lint', `${prefix}-2.json`])).code).toBe(0)
    expect(await sigframe(['explain', `${prefix}-2.json`, '--on', 'sapphire-rapids'])).toMatchObject({
      code: 0,
    })
  })

  test.skipIf(!canProbe)('of a process that was stopped in its handler', async ctx => {
    needsGcc(ctx)
    const source = join(folder, 'handler.c')
    writeFileSync(
      source,
      `#include <signal.h>
#include <unistd.h>
static void handler(int s, siginfo_t *i, void *c) { (void)s; (void)i; (void)c; write(1, "x", 1); for (;;) pause(); }
int main(void) {
  struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &a, 0);
  raise(SIGUSR1);
}
`,
    )
    const program = join(folder, 'handler')
    if (spawnSync('gcc', ['-o', program, source]).status !== 0) throw new Error('gcc failed')
    if (spawnSync('gcore', ['--version']).error !== undefined) return ctx.skip('there is no gcore')
    const core = join(folder, 'real')
    // In a shell of its own, which waits for the first byte out of the handler.
    const script = `${program} > ${folder}/byte & pid=$!; n=0
      while [ ! -s ${folder}/byte ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n + 1)); done
      gcore -o ${core} $pid > ${folder}/gcore 2>&1; kill -9 $pid; mv ${core}.$pid ${core}`
    spawnSync('sh', ['-c', script], { timeout: 60_000 })
    if (!existsSync(core))
      return ctx.skip(`gcore cannot: ${readFileSync(join(folder, 'gcore'), 'utf8').slice(-200)}`)
    const { code, stdout } = await sigframe(['lint', core, '--json'])
    const { frames } = JSON.parse(stdout).files[0]
    const inFlight = frames.filter(({ state }: { state: string }) => state === 'in flight')
    expect(inFlight).toHaveLength(1)
    expect(inFlight[0]).toMatchObject({ abi: 'x86_64', findings: [] })
    expect(code).toBe(0)
  })
})

describe('raw bytes', () => {
  const rawFile = (frame: LintedFrame = goodFrame(zen4)): string =>
    fileOf(Buffer.concat([new Uint8Array(0x123), frame.fpstate, new Uint8Array(500)]))

  test('searched', async () => {
    const { code, stdout } = await sigframe(['lint', '--raw', rawFile()])
    expect(code).toBe(0)
    expect(stdout).toContain('Frame     x86_64, at offset 0x123 of the file\n')
    expect(stdout).toContain('  CPU     guessed: zen4\n')
  })

  test('at an offset, of a CPU', async () => {
    const words = ['lint', '--raw', rawFile(), '--offset', '0x123', '--abi', 'x86_64']
    expect((await sigframe([...words, '--cpu', 'zen4'])).code).toBe(0)
    const { code, stdout } = await sigframe([...words, '--cpu', 'skylake-sp', '--json'])
    expect(code).toBe(1)
    const { known } = JSON.parse(stdout).files[0].frames[0].findings[0]
    expect(known.map(({ reference }: { reference: string }) => reference)).toContain('rr-debugger/rr#3573')
  })

  test('with nothing in them: exit code 1', async () => {
    const file = fileOf(new Uint8Array(5000))
    const { code, stdout } = await sigframe(['lint', '--raw', file])
    expect(code).toBe(1)
    expect(stdout).toMatch(/: raw bytes, no frames\n/)
    expect((await sigframe(['lint', '--raw', file, '--offset', '8'])).code).toBe(1)
  })

  test('cut off by --length', async () => {
    const { code, stdout } = await sigframe([
      'lint',
      '--raw',
      rawFile(),
      '--offset',
      '291',
      '--length',
      '1000',
    ])
    expect(code).toBe(1)
    expect(stdout).toContain('frame-cut-off: fpstate is 1000 bytes, must be at least 2444')
  })

  test('without its fsave header a 32-bit frame is not right: that is a note, and why it is not saved', async () => {
    const { abi, fpstate } = goodFrame(zen4, { abi: 'ia32' })
    const prefix = join(folder, 'headless')
    const words = ['lint', '--raw', fileOf(fpstate), '--abi', abi, '--offset', '0', '--save', prefix]
    const { code, stdout } = await sigframe(words)
    expect(code).toBe(0)
    expect(stdout).toContain('\n  note    fsave-unknown: fsave is not known: ')
    expect(stdout).toContain('\n  Written nothing: its fsave header is not known\n')
    expect(stdout).not.toContain('nothing is wrong')
    expect(existsSync(`${prefix}-1.json`)).toBe(false)
  })

  test('of which no CPU is known are not saved, and it is said', async () => {
    const odd = changed(goodFrame(zen4), ({ field }) => field('sw.xstateSize', 2436))
    const { stdout } = await sigframe([
      'lint',
      '--raw',
      rawFile(odd),
      '--offset',
      '0x123',
      '--save',
      join(folder, 'odd'),
    ])
    expect(stdout).toContain('\n  Written nothing: its CPU is not known: give --cpu\n')
    expect(existsSync(join(folder, 'odd-1.json'))).toBe(false)
  })
})

test.skipIf(!canProbe)('what capture writes has nothing wrong with it here', async () => {
  const file = join(folder, 'captured.json')
  expect((await sigframe(['capture', file])).code).toBe(0)
  for (const words of [[], ['--cpu', 'this']])
    expect(await sigframe(['lint', file, '--strict', ...words])).toMatchObject({ code: 0, stderr: '' })
})

describe('wrong usage: one line on stderr, nothing on stdout, exit code 64', () => {
  test.each<[string, () => string[], RegExp]>([
    ['no file', () => [], /^missing required argument 'file'; see sigframe lint --help$/],
    ['a missing one', () => [join(folder, 'no')], /no cannot be read \(ENOENT: no such file or directory\)$/],
    ['a folder', () => [folder], / is a folder$/],
    ['an empty one', () => [fileOf('')], / is empty$/],
    [
      'neither',
      () => [fileOf('hello')],
      / is neither a frame file nor an ELF core file: for raw bytes give --raw$/,
    ],
    [
      'a frame file cut off',
      () => [fileOf(readFileSync(good(), 'utf8').slice(0, 500))],
      / is not JSON: it ends too early/,
    ],
    ['another format', () => [fileOf('{"format":"x"}')], /: format is "x", must be sigframe frame$/],
    ['a program', () => [fileOf('\x7fELF\x02\x01\x01')], /^[^ ]+file-\d+[: ]/],
    ['a good one, then a bad one', () => [good(), fileOf('hello')], / is neither a frame file/],
    ['a wrong CPU', () => [good(), '--cpu', 'zen99'], /^"zen99" is no host: /],
    ['no CPU', () => [good(), '--cpu', ''], /^--cpu needs the name of a host$/],
    ['--offset without --raw', () => [good(), '--offset', '1'], /^--offset is of --raw alone$/],
    ['--abi without --raw', () => [good(), '--abi', 'ia32'], /^--abi is of --raw alone$/],
    ['--length without --raw', () => [good(), '--length', '9'], /^--length is of --raw alone$/],
    ['a negative offset', () => ['--raw', good(), '--offset', '-1'], /It must be an integer in 0\.\./],
    [
      'an offset beyond the file',
      () => ['--raw', good(), '--offset', '4294967296'],
      /has 0 bytes from offset 4294967296 on/,
    ],
    [
      'a wrong ABI',
      () => ['--raw', good(), '--abi', 'arm'],
      /Allowed choices are x86_64, ia32-rt, ia32, x32/,
    ],
    [
      '--save to nowhere',
      () => [good(), '--save', join(folder, 'no/x')],
      /^--save .*no\/x-1\.json cannot be written: ENOENT/,
    ],
    ['--save without a name', () => [good(), '--save', ''], /^--save needs the name of a file$/],
  ])('%s', async (_, words, message) => {
    const { code, stdout, stderr } = await sigframe(['lint', ...words()])
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^sigframe: [^\n]{1,700}\n$/)
    expect(stderr.slice('sigframe: '.length, -1)).toMatch(message)
    expect(code).toBe(64)
  })
})
