import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { EditOp } from '../../lib/frame/edit.ts'
import { createGrammar } from '../../lib/fuzz/grammar.ts'
import { plainOp } from '../../lib/harness/repro.ts'
import { deepest } from '../../lib/report/bundle-limits.ts'
import {
  largestProbeFile,
  ProbeFileError,
  parseProbeFile,
  probeFileJson,
  readProbeFile,
  type SavedProbe,
} from '../../lib/report/probe-file.ts'
import { probeFileJsonSchema } from '../../lib/report/probe-file-schema.ts'
import { createRandom, randomImage } from '../../lib/xstate/random.ts'
import { limitsOf } from '../contract/simulated-probe.ts'
import { known, knownNames } from '../xstate/arbitrary.ts'
import { changed, judgedWhereChanged, type Path, toldWhereCut } from './broken.ts'

const schemaFile = join(import.meta.dirname, '../../docs/probe.schema.json')

const layout = known('skylake-sp')

const full: SavedProbe = {
  host: {
    vendor: 'GenuineIntel',
    brand: 'A CPU',
    family: 6,
    model: 85,
    stepping: 4,
    microcode: '0x1',
    hypervisor: null,
  },
  layout,
  permissions: ['xtiledata'],
  abi: 'ia32-rt',
  raise: 'tgkill32',
  stack: { bytes: 8192, state: 'fresh' },
  load: randomImage(layout, { seed: 1 }),
  poison: randomImage(layout, { seed: 2 }),
  edit: [
    { op: 'resize', xstateSize: 832 },
    { op: 'and', field: 'xstateBv', value: 7n },
    { op: 'magic2', clearTail: true },
    { op: 'write', region: 'fsave', at: 3, bytes: Uint8Array.of(1, 2) },
    { op: 'move', guardAt: 836 },
    { op: 'pointer', address: 0n },
  ],
  kernel: { release: '7.3.4', generation: 'classic' },
  finding: {
    seed: -7,
    index: 12_345,
    generation: 'portable',
    expected: 'restored',
    observed: 'refused',
    differences: ['avx was kept'],
  },
}

const bare: SavedProbe = {
  ...full,
  host: null,
  permissions: [],
  abi: 'x86_64',
  raise: 'fake',
  stack: null,
  edit: [],
  kernel: null,
  finding: null,
}

/** As a probe is read again: its edit in the form of JSON. */
const asRead = (probe: SavedProbe) => {
  const { load, poison, edit, layout, ...rest } = probe
  return {
    ...rest,
    layout: layout.toJSON(),
    load: [...load.bytes],
    poison: [...poison.bytes],
    edit: edit.map(plainOp),
  }
}

const text = probeFileJson(full)
const json = JSON.parse(text)

const problem = (of: string): Promise<string> =>
  parseProbeFile(of, 'some.json').then(
    () => 'accepted',
    error => (error instanceof ProbeFileError ? error.message : `NOT A ProbeFileError: ${error.stack}`),
  )

describe('what was written is read again', () => {
  test.each([
    ['with everything', full],
    ['with nothing that can be left out', bare],
  ])('%s', async (_, probe) => {
    const read = await parseProbeFile(probeFileJson(probe), 'x')
    expect(asRead(read)).toEqual(asRead(probe))
    expect(probeFileJson(read)).toBe(probeFileJson(probe))
  })

  test.each(knownNames)('any frame of the grammar: %s', async name => {
    const layout = known(name)
    if (!layout.xsave) return
    const draw = createGrammar({
      layout,
      limits: limitsOf(layout),
      abis: ['x86_64', 'ia32-rt', 'ia32', 'x32'],
      loads: 4,
      poisons: 4,
      isolatedShare: 0.1,
    })
    const random = createRandom(3)
    for (let i = 0; i < 60; i++) {
      const { abi, raise, load, poison, edit } = draw(random)
      const probe: SavedProbe = {
        ...bare,
        layout,
        abi,
        raise,
        load: randomImage(layout, { seed: load }),
        poison: randomImage(layout, { seed: poison }),
        edit,
      }
      expect(asRead(await parseProbeFile(probeFileJson(probe), 'x'))).toEqual(asRead(probe))
    }
  })

  test('a host without XSAVE', async () => {
    const old = known('nehalem')
    const probe: SavedProbe = {
      ...bare,
      raise: 'tgkill',
      layout: old,
      load: randomImage(old, { seed: 1 }),
      poison: randomImage(old, { seed: 2 }),
    }
    expect(asRead(await parseProbeFile(probeFileJson(probe), 'x'))).toEqual(asRead(probe))
  })

  test('what need not be told may be absent, what is not known is passed over', async () => {
    const { host, stack, kernel, finding, permissions, ...least } = JSON.parse(probeFileJson(bare))
    const read = await parseProbeFile(JSON.stringify({ ...least, more: { of: 'it' } }), 'x')
    expect(asRead(read)).toEqual(asRead(bare))
  })

  test('is text that begins with the format and ends', () => {
    expect(text.startsWith('{\n  "format": "sigframe probe",\n  "version": 1,\n')).toBe(true)
    expect(text.endsWith('\n}\n')).toBe(true)
  })
})

const refusal = (path: Path, to: unknown): Promise<string> => problem(JSON.stringify(changed(json, path, to)))

/** The digits of the load with one byte another. */
const loadWith = (at: number, byte: string): string =>
  json.load.slice(0, 2 * at) + byte + json.load.slice(2 * at + 2)

describe('what is wrong is named: file, field, value, limit', () => {
  test.each<[string, Path, unknown]>([
    ['format is "sigframe bundle", must be sigframe probe', ['format'], 'sigframe bundle'],
    ['format is missing', ['format'], undefined],
    ['version is 2, must be 1', ['version'], 2],
    ['tool.name is "other", must be sigframe', ['tool', 'name'], 'other'],
    ['host.family must be a number, not "6"', ['host', 'family'], '6'],
    ['layout is missing', ['layout'], undefined],
    ['layout.xcr0 is "7", must be 0x and 1 to 16 hexadecimal digits in lower case', ['layout', 'xcr0'], '7'],
    [
      'layout.components[0] (avx).offset is 100, must be at least 576',
      ['layout', 'components', 0, 'offset'],
      100,
    ],
    [
      'layout.userFeatures is 0x10002ff, which has bits outside layout.xcr0 0x2ff (x87 sse avx bndregs bndcsr opmask zmm_hi256 hi16_zmm pkru)',
      ['layout', 'userFeatures'],
      '0x10002ff',
    ],
    ['layout.mxcsrMask is -1, must be at least 0', ['layout', 'mxcsrMask'], -1],
    ['abi is "arm64", must be one of x86_64 ia32-rt ia32 x32', ['abi'], 'arm64'],
    ['raise is "raise", must be one of tgkill tgkill32 blocked timer ipi fake', ['raise'], 'raise'],
    ['stack.bytes is 8192, but raise is fake: nothing is delivered onto a stack', ['raise'], 'fake'],
    ['stack.bytes is 0, must be at least 1', ['stack', 'bytes'], 0],
    ['stack.bytes is 1048577, must be in 1..1048576', ['stack', 'bytes'], 2 ** 20 + 1],
    ['stack.state is missing', ['stack', 'state'], undefined],
    ['load.length is 2, must be 5392: two digits a byte', ['load'], '00'],
    ['poison is "zz", must be hexadecimal digits in lower case', ['poison'], 'zz'],
    ['load.xcompBv is 0x1, must be 0x0: the standard format', ['load'], loadWith(520, '01')],
    ['edit must be an array, not null', ['edit'], null],
    ['edit[1].field is null, must be a string, number or boolean', ['edit', 1, 'field'], null],
    ['edit[1].field must be the name of a field, not undefined', ['edit', 1, 'field'], undefined],
    [
      'edit[0].op is "grow", must be one of write set and or xor fill component resize magic2 move pointer pages',
      ['edit', 0],
      { op: 'grow' },
    ],
    ['edit[4].guardAt is 1000000, must be in 1..24576', ['edit', 4, 'guardAt'], 1_000_000],
    ['kernel.release must be a string, not 7', ['kernel', 'release'], 7],
    ['finding.index is -1, must be at least 0', ['finding', 'index'], -1],
    ['finding.differences[0] must be a string, not 1', ['finding', 'differences', 0], 1],
    ['permissions[0] must be a string, not 18', ['permissions', 0], 18],
  ])('%s', async (message, path, to) => {
    expect(await refusal(path, to)).toBe(`some.json: ${message}`)
  })

  test('images that would hurt who loads them', async () => {
    const at = layout.offset('pkru')
    expect(await refusal(['load'], loadWith(at, '01'))).toMatch(
      /^some\.json: load\.pkru is 0x[0-9a-f]+, must have bits 0 and 1 clear/,
    )
    expect(await refusal(['load'], loadWith(27, 'ff'))).toMatch(/^some\.json: load\.mxcsr is /)
  })

  test('a permission that is no component', async () => {
    expect(await refusal(['permissions', 0], 'mmx')).toMatch(
      /^some\.json: permissions\[0\] is "mmx", must be one of x87 sse avx /,
    )
  })

  test('a frame to build where there is no XSAVE', async () => {
    const old = known('nehalem')
    const load = randomImage(old, { seed: 1 })
    expect(await problem(probeFileJson({ ...bare, layout: old, load, poison: load }))).toBe(
      'some.json: raise is "fake", but the layout has no XSAVE: its frames have nothing to build',
    )
  })

  test('an edit for another ABI', async () => {
    expect(await refusal(['abi'], 'x86_64')).toMatch(/^some\.json: edit\[3\]/)
  })

  test('a message is one line, however long the value', async () => {
    expect(await refusal(['abi'], 'x\n\u001b[31m'.repeat(1e5))).toMatch(/^[\x20-\x7e…]{1,300}$/)
  })
})

describe('what is no probe at all', () => {
  test.each([
    ['', 'some.json is empty'],
    ['null', 'some.json: the probe must be an object, not null'],
    ['{}', 'some.json: format is missing'],
    ['{"a":', 'some.json is not JSON: it ends too early, as if it were cut off'],
  ])('%j', async (of, message) => {
    expect(await problem(of)).toBe(message)
  })
})

describe('what would cost much to refuse is refused', () => {
  test.each<[string, string, string]>([
    ['deep', `${'['.repeat(1e5)}${']'.repeat(1e5)}`, `must be at most ${deepest} levels down`],
    ['long', `{"edit":[${'0,'.repeat(1e5)}0]}`, 'edit has 100001 elements, must be at most 10000'],
    ['a long image', JSON.stringify({ ...json, load: '0'.repeat(2 << 20) }), 'load.length is 2097152, must'],
    ['a longer one', JSON.stringify({ ...json, load: '0'.repeat((2 << 20) + 2) }), 'load has 2097154 charac'],
    [
      'a long write',
      JSON.stringify({ ...json, edit: [{ op: 'write', at: 0, bytes: '00'.repeat(100_000) }] }),
      'edit[0] (end) is 100000, but edits in place must end by ',
    ],
  ])('%s', async (_, of, message) => {
    expect(await problem(of)).toContain(message)
  })
})

describe('any other text ends in the one error', () => {
  const judged = async (broken: string): Promise<void> => {
    const found = await problem(broken)
    expect(found).toMatch(/^(accepted|some\.json(:| is) .+)$/)
    expect(found.length).toBeLessThan(700)
  }

  test('cut off anywhere', () => toldWhereCut(text, problem))

  test('characters changed', () => judgedWhereChanged(text, judged, 300))

  test('any JSON', async () => {
    await fc.assert(fc.asyncProperty(fc.json(), judged), { numRuns: 300 })
  })

  const paths: Path[] = [
    ...Object.keys(json).map(key => [key]),
    ...['host', 'layout', 'stack', 'kernel', 'finding'].flatMap(key =>
      Object.keys(json[key]).map(inner => [key, inner]),
    ),
    ...Object.keys(json.layout.components[0]).map(key => ['layout', 'components', 0, key]),
    ...(json.edit as EditOp[]).flatMap((op, i) => Object.keys(op).map(key => ['edit', i, key])),
  ]

  test('a field replaced by any JSON, or left out', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.integer()),
        (path, value) => judged(JSON.stringify(changed(json, path, value))),
      ),
      { numRuns: 1000 },
    )
  })

  test('a byte of an image changed: loadable still, or refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: layout.size - 1 }), fc.nat({ max: 255 }), (at, byte) =>
        judged(JSON.stringify({ ...json, load: loadWith(at, byte.toString(16).padStart(2, '0')) })),
      ),
      { numRuns: 300 },
    )
  })

  test('names that objects already have', async () => {
    const polluted = text.replace(
      '{',
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},',
    )
    expect(await problem(polluted)).toBe('accepted')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('readProbeFile', () => {
  let folder: string
  const file = (content: string | Buffer): string => {
    const path = join(folder, 'probe.json')
    writeFileSync(path, content)
    return path
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-probe-file-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('a file', async () => {
    expect(asRead(await readProbeFile(file(text)))).toEqual(asRead(full))
  })

  test.each<[string, () => string, RegExp]>([
    [
      'none',
      () => join(folder, 'nowhere.json'),
      /nowhere\.json cannot be read \(ENOENT: no such file or directory\)$/,
    ],
    ['a folder', () => folder, / cannot be read \(EISDIR: illegal operation on a directory\)$/],
    ['a name that no file can have', () => 'a\0b', /^a\\x00b cannot be read /],
    ['no text', () => file(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff])), / is not UTF-8 text$/],
  ])('%s', async (_, path, message) => {
    const error = await readProbeFile(path()).then(
      () => null,
      error => error,
    )
    expect(error).toBeInstanceOf(ProbeFileError)
    expect(error.message).toMatch(message)
  })

  test('too large', async () => {
    const path = file('')
    truncateSync(path, largestProbeFile + 1)
    await expect(readProbeFile(path)).rejects.toThrow(
      ` is larger than ${largestProbeFile} bytes, the most that is read`,
    )
  })
})

// To bring it up to date: SIGFRAME_UPDATE_SCHEMA=1 npx vitest run test/report/probe-file.test.ts && npx biome format --write docs
test('docs/probe.schema.json is the schema', () => {
  const schema = probeFileJsonSchema()
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(schemaFile, `${JSON.stringify(schema, null, 2)}\n`)
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(schema)
})
