import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { catalogueEntry, catalogueLayout } from '../../lib/catalogue/catalogue.ts'
import { fileStyle } from '../../lib/cli/terminal.ts'
import type { LintedFrame } from '../../lib/frame/lint/finding.ts'
import { hostOfEntry } from '../../lib/hosts/elsewhere.ts'
import { frameFileJson, parseFrameFile } from '../../lib/report/frame-file.ts'
import { lintJson, lintText } from '../../lib/report/lint.ts'
import { countFindings, type LintedFile, lintInput, savedOf } from '../../lib/report/lint-file.ts'
import {
  type InputFrame,
  LintInputError,
  mostSearched,
  readFrames,
  readRaw,
} from '../../lib/report/lint-input.ts'
import { changed, goodFrame } from '../frame/lint-frames.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sigframe-lint-'))
})

afterAll(() => {
  rmSync(folder, { recursive: true })
})

const zen4 = catalogueLayout('zen4')

const inputOf = (frame: LintedFrame, more: Partial<InputFrame> = {}): InputFrame => ({
  frame,
  offset: 0x1000,
  state: 'unknown',
  pid: null,
  ...more,
})

const linted = (
  frames: readonly InputFrame[],
  cpu: string | null = null,
  notes: readonly string[] = [],
): LintedFile =>
  lintInput(
    { file: 'memory.bin', kind: 'core file', layout: null, frames, notes },
    cpu === null ? null : hostOfEntry(catalogueEntry(cpu)),
  )

const bad = changed(goodFrame(zen4), ({ area }) => area(zen4.size, 4, 0))

describe('a report for people', () => {
  it('has each frame with its place, its CPU and what is found', () => {
    const file = linted([inputOf(goodFrame(zen4)), inputOf(bad, { state: 'in flight', pid: 7 })], null, [
      '2 threads',
    ])
    expect(lintText([file], fileStyle)).toBe(
      `memory.bin: core file, 2 frames; 2 threads

Frame     x86_64, at 0x7ffc12304ec0, at offset 0x1000 of the file
  says    xfeatures 0x2e7, xstate_size 2440, extended_size 2444, XSTATE_BV 0x2e7
  in use  x87 sse avx opmask zmm_hi256 hi16_zmm pkru
  CPU     guessed: zen4
  ok      nothing is wrong with it

Frame     x86_64, at 0x7ffc12304ec0, at offset 0x1000 of the file, in flight, of
          thread 7
  says    xfeatures 0x2e7, xstate_size 2440, extended_size 2444, XSTATE_BV 0x2e7
  in use  x87 sse avx opmask zmm_hi256 hi16_zmm pkru
  CPU     guessed: zen4
  error   magic2-missing: MAGIC2 (at xstate_size, 2440) is 0x0, must be
          0x46505845: all but x87 and SSE is lost
          seen in DynamoRIO (DynamoRIO/dynamorio#3812); FEX (FEX-Emu/FEX#5229)

2 frames, 1 error, 0 warnings, 0 notes
`,
    )
  })

  it('says where there is none, and what was written', () => {
    expect(lintText([linted([])], fileStyle)).toBe(
      'memory.bin: core file, no frames\n\n0 frames, 0 errors, 0 warnings, 0 notes\n',
    )
    const file = linted([inputOf(bad), inputOf(bad, { state: 'left over' })], 'zen4')
    const [one, other] = file.items
    const text = lintText(
      [file],
      fileStyle,
      new Map([
        [one!, { file: 'x-1.json' }],
        [other!, { problem: 'its CPU is not known' }],
      ]),
    )
    expect(text).toContain('\n  Written x-1.json\n')
    expect(text).toContain('\n  Written nothing: its CPU is not known\n')
    expect(text).toContain('\n  CPU     zen4: AMD Zen 4')
    expect(text.replace(/\s+/g, ' ')).toContain(
      '2 errors, 0 warnings, 0 notes (1 error and 0 warnings of these in frames left over, which may have been written to since)',
    )
  })

  it('keeps to its columns, and to printable characters, whatever a file is called', () => {
    const file = {
      ...linted([inputOf(bad)], null, ['\u001b[2J\nforged']),
      file: `\u202e${'x'.repeat(200)}\n`,
    }
    const text = lintText([file], fileStyle)
    expect(text).not.toMatch(/[^\n\P{C}]/u)
    for (const line of text.split('\n')) expect([...line].length).toBeLessThanOrEqual(80)
  })
})

describe('a report for machines', () => {
  it('has all of it', () => {
    const json = JSON.parse(lintJson([linted([inputOf(bad, { state: 'left over', pid: 3 })])]))
    expect(json.counts).toEqual({
      frames: 1,
      errors: 1,
      warnings: 0,
      notes: 0,
      leftOverErrors: 1,
      leftOverWarnings: 0,
    })
    expect(json.files).toHaveLength(1)
    const [frame] = json.files[0].frames
    expect(frame).toMatchObject({
      abi: 'x86_64',
      address: '0x7ffc12304ec0',
      offset: 0x1000,
      state: 'left over',
      pid: 3,
      knownBytes: 2444,
      magic1: '0x46505853',
      xfeatures: '0x2e7',
      xstateSize: 2440,
      extendedSize: 2444,
      xstateBv: '0x2e7',
      xcompBv: '0x0',
      cpu: { source: 'guess', names: ['zen4'], layout: { size: 2440 } },
      savedAs: null,
    })
    expect(frame.findings).toEqual([
      {
        check: 'magic2-missing',
        severity: 'error',
        field: 'MAGIC2',
        offset: 2440,
        message: expect.stringMatching(/^MAGIC2 /),
        known: [
          { project: 'DynamoRIO', reference: 'DynamoRIO/dynamorio#3812' },
          { project: 'FEX', reference: 'FEX-Emu/FEX#5229' },
        ],
      },
    ])
  })
})

describe('a frame', () => {
  it('is held to the CPU of the option, then the file’s, then the guessed one', () => {
    const frame = inputOf(goodFrame(zen4))
    const cpuOf = (file: LintedFile) => file.items[0]!.cpu
    const input = {
      file: 'x',
      kind: 'core file',
      layout: catalogueLayout('ice-lake-sp'),
      frames: [frame],
      notes: [],
    } as const
    expect(cpuOf(lintInput(input, hostOfEntry(catalogueEntry('haswell'))))).toMatchObject({
      source: 'option',
      names: ['haswell'],
    })
    expect(cpuOf(lintInput(input, null))).toMatchObject({
      source: 'file',
      text: 'GenuineIntel, 2696 bytes, as the core file says',
    })
    expect(cpuOf(linted([frame]))).toMatchObject({ source: 'guess', names: ['zen4'] })
    const odd = changed(goodFrame(zen4), ({ field }) => field('sw.xstateSize', 2441))
    expect(cpuOf(linted([inputOf(odd)]))).toMatchObject({ source: 'none', layout: null, names: [] })
  })

  it('has in use what is not at init', () => {
    const frame = goodFrame(zen4, { components: ['avx', 'pkru'] })
    expect(linted([inputOf(frame)]).items[0]!.inUse).toEqual(['avx', 'pkru'])
    expect(linted([inputOf(frame)], 'nehalem').items[0]!.inUse).toEqual([])
    const unknown = changed(frame, ({ field }) => field('sw.xstateSize', 2441))
    expect(linted([inputOf(unknown)]).items[0]!.inUse).toEqual(['x87', 'sse', 'avx', 'pkru'])
    const short = { ...frame, fpstate: frame.fpstate.subarray(0, 100) }
    expect(linted([inputOf(short)]).items[0]!.inUse).toEqual([])
    const ia32 = goodFrame(zen4, { abi: 'ia32', components: ['x87'] })
    expect(linted([inputOf(ia32)]).items[0]!.inUse).toEqual(['x87'])
  })

  it('is kept in a frame file, whole and no longer than it is', async () => {
    for (const abi of ['x86_64', 'ia32'] as const) {
      const frame = goodFrame(zen4, { abi })
      const longer = new Uint8Array(30_000).fill(0x55)
      longer.set(frame.fpstate)
      const file = linted([inputOf({ ...frame, fpstate: longer }, { state: 'in flight', pid: 12 })])
      const saved = savedOf(file, file.items[0]!)
      if (typeof saved === 'string') throw new Error(saved)
      expect(saved).toMatchObject({
        source: 'cut out',
        origin: 'memory.bin, offset 0x1000, in flight, thread 12',
        abi,
      })
      expect(saved.fpstate).toEqual(frame.fpstate)
      expect(saved.fsave).toEqual(frame.fsave)
      const text = frameFileJson(saved)
      expect(frameFileJson(await parseFrameFile(text, 'x'))).toBe(text)
    }
  })

  it('is kept with the permission for what it has', () => {
    const file = linted([inputOf(goodFrame(catalogueLayout('sapphire-rapids-tiles')))], 'sapphire-rapids')
    const saved = savedOf(file, file.items[0]!)
    expect(saved).toMatchObject({ permissions: ['xtiledata'] })
    expect((saved as { fpstate: Uint8Array }).fpstate).toHaveLength(11_012)
  })

  it('whose xstate_size lies is kept no longer than a file has room for', () => {
    const lies = changed(goodFrame(zen4), ({ field }) => field('sw.xstateSize', 0xffff_ffff))
    const long = new Uint8Array(200_000)
    long.set(lies.fpstate)
    const file = linted([inputOf({ ...lies, fpstate: long })], 'zen4')
    expect((savedOf(file, file.items[0]!) as { fpstate: Uint8Array }).fpstate).toHaveLength(65_536)
  })

  it.each<[string, LintedFrame, string | null, string]>([
    [
      'of which no CPU is known',
      changed(goodFrame(zen4), ({ field }) => field('sw.xstateSize', 2441)),
      null,
      'its CPU is not known: give --cpu',
    ],
    [
      'of too few bytes',
      { ...goodFrame(zen4), fpstate: new Uint8Array(500) },
      'zen4',
      'only 500 bytes of it are known',
    ],
    [
      'without its fsave header',
      { ...goodFrame(zen4, { abi: 'ia32' }), fsave: null },
      'zen4',
      'its fsave header is not known',
    ],
  ])('is not kept: %s', (_, frame, cpu, why) => {
    const file = linted([inputOf(frame)], cpu)
    expect(savedOf(file, file.items[0]!)).toBe(why)
  })

  it('is counted', () => {
    expect(
      countFindings([
        linted([inputOf(bad)]),
        linted([inputOf(bad, { state: 'left over' }), inputOf(goodFrame(zen4))]),
      ]),
    ).toEqual({
      frames: 3,
      error: 2,
      warning: 0,
      note: 0,
      leftOverErrors: 1,
      leftOverWarnings: 0,
    })
  })
})

describe('what is read', () => {
  let written = 0
  const fileOf = (bytes: Uint8Array | string): string => {
    written += 1
    const file = join(folder, `file-${written}`)
    writeFileSync(file, bytes)
    return file
  }
  const frameBytes = (): Uint8Array => {
    const { fsave, fpstate } = goodFrame(zen4, { abi: 'ia32' })
    return Buffer.concat([new Uint8Array(7), fsave!, fpstate, new Uint8Array(1000)])
  }

  it('raw bytes: at an offset, or searched', () => {
    const file = fileOf(frameBytes())
    const [found] = readRaw(file, {}).frames
    expect(found).toMatchObject({ offset: 119, state: 'unknown', pid: null })
    expect(found!.frame).toMatchObject({ abi: 'ia32-rt', address: null })
    const [cut] = readRaw(file, { offset: 119 }).frames
    expect(cut!.frame).toEqual(found!.frame)
    expect(readRaw(file, { offset: 119, abi: 'ia32' }).frames[0]!.frame.abi).toBe('ia32')
    expect(readRaw(file, { abi: 'x86_64' }).frames[0]!.frame).toMatchObject({ abi: 'x86_64', fsave: null })
    expect(readRaw(file, { offset: 119, length: 600 }).frames[0]!.frame.fpstate).toHaveLength(600)
    expect(readRaw(file, { offset: 7 }).frames[0]!.frame.fpstate.length).toBeGreaterThan(512)
    expect(readRaw(file, { length: 119 + 464 + 47 }).frames).toEqual([])
  })

  it('an offset beyond 2^32 in a file that large', () => {
    const file = fileOf('')
    truncateSync(file, 2 ** 32 + 1000)
    const { frames } = readRaw(file, { offset: 2 ** 32 + 100 })
    expect(frames[0]!.frame.fpstate).toHaveLength(900)
    expect(() => readRaw(file, {})).toThrow(
      `${file} has more than ${mostSearched} bytes, the most that is searched: give --offset, or --length`,
    )
    expect(readRaw(file, { length: 5000 }).frames).toEqual([])
    expect(() => readRaw(file, { offset: 2 ** 40 })).toThrow(
      /has 0 bytes from offset 1099511627776 on, must have at least 512/,
    )
    truncateSync(file, 0)
  })

  it('how many MAGIC1s are none', () => {
    const bytes = new Uint8Array(4000)
    for (const at of [1000, 2000]) new DataView(bytes.buffer).setUint32(at, 0x46505853, true)
    expect(readRaw(fileOf(bytes), {})).toMatchObject({
      frames: [],
      notes: ['2 MAGIC1s besides, with nothing of a frame around'],
    })
  })

  it.each<[string, () => unknown, RegExp]>([
    [
      'a missing file',
      () => readRaw(join(folder, 'no'), {}),
      /no cannot be read \(ENOENT: no such file or directory\)$/,
    ],
    ['a folder', () => readRaw(folder, {}), / is a folder$/],
    [
      'a short file',
      () => readRaw(fileOf('short'), { offset: 2 }),
      /has 3 bytes from offset 2 on, must have at least 512: /,
    ],
    [
      'an offset in a device',
      () => readRaw('/dev/zero', { offset: 2 ** 40 }),
      /^\/dev\/zero is no regular file: of it no more than 67108864 bytes are read/,
    ],
    ['a device', () => readRaw('/dev/zero', {}), /^\/dev\/zero has more than 67108864 bytes/],
  ])('refused: %s', (_, read, message) => {
    expect(read).toThrow(LintInputError)
    expect(read).toThrow(message)
  })

  it('a frame file', async () => {
    const file = linted([inputOf(goodFrame(zen4))], 'zen4')
    const saved = savedOf(file, file.items[0]!)
    if (typeof saved === 'string') throw new Error(saved)
    const read = await readFrames(fileOf(frameFileJson(saved)))
    expect(read).toMatchObject({ kind: 'frame file', notes: [] })
    expect(read.layout!.toJSON()).toEqual(zen4.toJSON())
    expect(read.frames[0]!.frame).toEqual(goodFrame(zen4))
  })

  it('refused: what is neither', async () => {
    await expect(readFrames(fileOf('hello'))).rejects.toThrow(
      /is neither a frame file nor an ELF core file: for raw bytes give --raw$/,
    )
    await expect(readFrames(fileOf(''))).rejects.toThrow(/is empty$/)
    await expect(readFrames(folder)).rejects.toThrow(/ is a folder$/)
    await expect(readFrames(join(folder, 'no'))).rejects.toThrow(/cannot be read \(ENOENT/)
  })

  it('whatever a file holds, there is an answer or one line', async () => {
    const anyFile = fc.oneof(
      fc.uint8Array({ maxLength: 1500 }),
      fc
        .uint8Array({ maxLength: 600 })
        .map(tail => Buffer.concat([Buffer.from('\x7fELF\x02\x01\x01', 'latin1'), tail])),
      fc.json().map(text => Buffer.from(text)),
      fc.record({ at: fc.nat(2000), value: fc.nat(255) }).map(({ at, value }) => {
        const bytes = frameBytes()
        bytes[at] = value
        return bytes
      }),
    )
    const file = join(folder, 'any')
    const refusals = ['LintInputError', 'FrameFileError', 'CoreFileError']
    await fc.assert(
      fc.asyncProperty(anyFile, fc.option(fc.nat(2000), { nil: undefined }), async (bytes, offset) => {
        writeFileSync(file, bytes)
        for (const read of [async () => readRaw(file, { offset }), () => readFrames(file)]) {
          try {
            const text = lintText([lintInput(await read(), null)], fileStyle)
            expect(text).not.toMatch(/[^\n\P{C}]/u)
          } catch (error) {
            expect(refusals).toContain((error as Error).name)
            expect((error as Error).message).toMatch(/^[^\n]{1,700}$/)
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})
