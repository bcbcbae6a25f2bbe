import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SavedFrame } from '../../lib/foreign/saved.ts'
import { abis, frameShape } from '../../lib/frame/abi.ts'
import {
  FrameFileError,
  frameFileJson,
  largestFrameFile,
  parseFrameFile,
  plainFrame,
  readFrameFile,
} from '../../lib/report/frame-file.ts'
import { frameFileJsonSchema } from '../../lib/report/frame-file-schema.ts'
import { randomImage } from '../../lib/xstate/random.ts'
import { savedFrame } from '../foreign/frames.ts'
import { anyLayout, known } from '../xstate/arbitrary.ts'
import { changed, type Path } from './broken.ts'

const schemaFile = join(import.meta.dirname, '../../docs/frame.schema.json')

const layout = known('skylake-sp')

const full: SavedFrame = {
  ...savedFrame(layout, 'ia32-rt'),
  source: 'cut out',
  origin: 'core.77 at 0x1000',
  host: {
    vendor: 'GenuineIntel',
    brand: 'A CPU',
    family: 6,
    model: 85,
    stepping: 4,
    microcode: '0x1',
    hypervisor: null,
  },
  kernel: { release: '7.3.4', generation: 'classic' },
  permissions: ['xtiledata'],
  address: 0xffff_d040n,
  head: new Uint8Array(frameShape('ia32-rt').headBytes).fill(7),
  seed: 5,
}

const bare: SavedFrame = { ...savedFrame(layout), image: null }

const problem = (text: string): Promise<string> =>
  parseFrameFile(text, 'some.json').then(
    () => 'accepted',
    error => (error instanceof FrameFileError ? error.message : `NOT A FrameFileError: ${error.stack}`),
  )

const json = JSON.parse(frameFileJson(full))

describe('what was written is read again', () => {
  test.each([
    ['with everything', full],
    ['with nothing that can be left out', bare],
    ['a frame that is too short', { ...bare, fpstate: bare.fpstate.slice(0, 700) }],
    ['a frame with more behind it', { ...bare, fpstate: new Uint8Array(5000).fill(3) }],
  ])('%s', async (_, saved) => {
    const read = await parseFrameFile(frameFileJson(saved), 'x')
    expect(plainFrame(read)).toEqual(plainFrame(saved))
    expect(frameFileJson(read)).toBe(frameFileJson(saved))
    expect(read.fpstate).toEqual(saved.fpstate)
  })

  test('any frame of any CPU', async () => {
    await fc.assert(
      fc.asyncProperty(anyLayout, fc.constantFrom(...abis), fc.nat(), async (where, abi, seed) => {
        const saved = savedFrame(where, abi, randomImage(where, { seed }))
        const read = await parseFrameFile(frameFileJson(saved), 'x')
        expect(plainFrame(read)).toEqual(plainFrame(saved))
      }),
    )
  })

  test('what need not be told may be absent, what is not known is passed over', async () => {
    const { origin, host, kernel, permissions, address, head, fsave, image, seed, ...least } = JSON.parse(
      frameFileJson(bare),
    )
    const read = await parseFrameFile(JSON.stringify({ ...least, more: { of: 'it' } }), 'x')
    expect(plainFrame(read)).toEqual(plainFrame(bare))
  })

  test('is text that begins with the format and ends', () => {
    const text = frameFileJson(full)
    expect(text.startsWith('{\n  "format": "sigframe frame",\n  "version": 1,\n')).toBe(true)
    expect(text.endsWith('\n}\n')).toBe(true)
  })
})

describe('what is wrong is named: file, field, value, limit', () => {
  test.each<[string, Path, unknown]>([
    ['format is "sigframe bundle", must be sigframe frame', ['format'], 'sigframe bundle'],
    ['format is missing', ['format'], undefined],
    ['version is 2, must be 1', ['version'], 2],
    ['source is "found", must be one of captured cut out translated', ['source'], 'found'],
    ['layout is missing', ['layout'], undefined],
    [
      'layout.components[0] (avx).offset is 4294967296, must be at most 4294967295',
      ['layout', 'components', 0, 'offset'],
      2 ** 32,
    ],
    ['abi is "arm64", must be one of x86_64 ia32-rt ia32 x32', ['abi'], 'arm64'],
    ['head.length is 536, must be 880: 440 bytes, two digits each', ['abi'], 'x86_64'],
    ['fsave must be 112 bytes in a frame of ia32-rt, not null', ['fsave'], null],
    ['fsave.length is 2, must be 224: 112 bytes, two digits each', ['fsave'], '00'],
    ['head.length is 4, must be 536: 268 bytes, two digits each', ['head'], '0000'],
    ['fpstate.length is 1022, must be in 1024..131072', ['fpstate'], '00'.repeat(511)],
    ['fpstate is "0", must be hexadecimal digits in lower case, two a byte', ['fpstate'], '0'],
    ['fpstate is "zz", must be hexadecimal digits in lower case, two a byte', ['fpstate'], 'zz'],
    ['fpstate has 131074 characters, must be at most 131072', ['fpstate'], '00'.repeat(65_537)],
    ['image.length is 2, must be 5392: 2696 bytes, two digits each', ['image'], '00'],
    ['address is "16", must be 0x and 1 to 16 hexadecimal digits in lower case', ['address'], '16'],
    ['seed is -1, must be at least 0', ['seed'], -1],
    ['permissions[0] is "tiles", must be one of x87', ['permissions', 0], 'tiles'],
    ['kernel.release must be a string, not 7', ['kernel', 'release'], 7],
    ['host.family must be a number, not "6"', ['host', 'family'], '6'],
  ])('%s', async (message, path, to) => {
    expect(await problem(JSON.stringify(changed(json, path, to)))).toContain(
      message.startsWith('layout.components')
        ? 'some.json: layout.components[0].offset'
        : `some.json: ${message}`,
    )
  })

  test('an fsave header where there is none', async () => {
    const value = { ...JSON.parse(frameFileJson(bare)), fsave: '00'.repeat(112) }
    expect(await problem(JSON.stringify(value))).toContain(
      'some.json: fsave must be null: frames of x86_64 have none, not "',
    )
  })

  test('an image that cannot be loaded', async () => {
    const image = `${json.image.slice(0, 1040)}01${json.image.slice(1042)}`
    expect(await problem(JSON.stringify({ ...json, image }))).toBe(
      'some.json: image.xcompBv is 0x1, must be 0x0: the standard format',
    )
  })
})

describe('files that are none', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-frame-file-'))
  })
  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test.each([
    ['', 'some.json is empty'],
    ['{', 'some.json is not JSON: it ends too early, as if it were cut off'],
    ['null', 'some.json: the frame must be an object, not null'],
    ['[]', 'some.json: the frame must be an object, not '],
    ['7', 'some.json: the frame must be an object, not 7'],
    ['['.repeat(100_000), 'some.json is not JSON'],
  ])('%#', async (text, message) => {
    expect(await problem(text)).toContain(message)
  })

  test('every cut of a file is told, and none is a frame', async () => {
    const text = frameFileJson(bare)
    for (let length = 0; length < text.length - 1; length += 397)
      expect(await problem(text.slice(0, length))).toMatch(
        /^some\.json (is empty|is not JSON: it ends too early)/,
      )
  })

  test('a file that is larger than any', async () => {
    const file = join(folder, 'large.json')
    writeFileSync(file, '{')
    truncateSync(file, largestFrameFile * 4)
    await expect(readFrameFile(file)).rejects.toThrow(`is larger than ${largestFrameFile} bytes`)
  })

  test('a file that is not there', async () => {
    await expect(readFrameFile(join(folder, 'none.json'))).rejects.toThrow('cannot be read (ENOENT')
  })

  test('any value of any field ends in one line of the one error', async () => {
    const paths: Path[] = [
      ...Object.keys(json).map(key => [key]),
      ...Object.keys(json.layout).map(key => ['layout', key]),
      ['layout', 'components', 0],
      ['layout', 'components', 0, 'size'],
      ['host', 'brand'],
    ]
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue(), async (path, value) => {
        const told = await problem(JSON.stringify(changed(json, path, value)))
        expect(told).not.toMatch(/^NOT|\n/)
        expect(told.length).toBeLessThan(1100)
      }),
      { numRuns: 500 },
    )
  })
})

test('the published schema is the one that files are read with', () => {
  const schema = `${JSON.stringify(frameFileJsonSchema(), null, 2)}\n`
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(schemaFile, schema)
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(JSON.parse(schema))
})
