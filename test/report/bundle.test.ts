import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Bundle, Repro } from '../../lib/harness/results.ts'
import { BundleError, parseBundle, readBundle } from '../../lib/report/bundle.ts'
import { deepest, largestBundle, longestCases } from '../../lib/report/bundle-limits.ts'
import { bundleJsonSchema } from '../../lib/report/bundle-schema.ts'
import { bundleJson } from '../../lib/report/json.ts'
import { anyBundle } from './arbitrary.ts'
import { changed, judgedWhereChanged, type Path, toldWhereCut } from './broken.ts'
import { bundle, everyVerdict, evidence, kernel, log, result, xfail } from './stub.ts'

const schemaFile = join(import.meta.dirname, '../../docs/bundle.schema.json')

const full: Bundle = bundle(
  [
    ...everyVerdict.map(verdict => result(verdict)),
    xfail({
      repro: {
        seed: -1,
        edit: [
          { op: 'set', field: 'xstateBv', value: '0x7' },
          { op: 'magic2', clearTail: true },
        ],
        abi: 'ia32-rt',
        raise: 'blocked',
        stack: { bytes: 4096, state: 'closed-key' },
      },
    }),
  ],
  {
    kernel: kernel('regressed', {
      headline: 'regressed, ahead in 1 rule: too-small-is-rejected',
      evidence: [
        evidence('too-small-is-rejected', 'rejected', 'ahead', ['portable', 'larger']),
        evidence('shrunk-frame-restores', 'fx-only'),
      ],
      deviations: ['one'],
      taintBefore: null,
      taintReason: 'not there',
      log: log({ reason: 'two were lost', onceCleared: true, lines: ['WARNING: at', ' <TASK>'] }),
    }),
    warnings: ['look'],
  },
)

const shuffled = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(shuffled)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, inner]) => [key, shuffled(inner)]),
  )
}

describe('bundleJson', () => {
  test('the keys stand in one order, whatever order they came in', () => {
    const { cases, ...rest } = full
    // What an edit operation says has an order of its own.
    const bare = { ...rest, cases: cases.map(one => ({ ...one, repro: null })) }
    expect(bundleJson(shuffled(bare) as Bundle)).toBe(bundleJson(bare))
  })

  test('also those of a repro, but for its operations’ own', () => {
    const repro = full.cases.at(-1)?.repro as Repro
    const { edit, ...rest } = repro
    const other = { ...(shuffled(rest) as Repro), edit }
    expect(Object.keys(other)).not.toEqual(Object.keys(repro))
    expect(bundleJson(bundle([xfail({ id: 'x', repro: other })]))).toBe(
      bundleJson(bundle([xfail({ id: 'x', repro })])),
    )
  })

  test('is text that ends, and begins with the version', () => {
    const text = bundleJson(full)
    expect(text.endsWith('\n}\n')).toBe(true)
    expect(text.startsWith('{\n  "bundleVersion": 1,\n  "tool": {\n')).toBe(true)
  })

  test('leaves nothing out', () => {
    expect(JSON.parse(bundleJson(full))).toEqual(full)
    expect(JSON.parse(bundleJson(bundle([], { kernel: null })))).toEqual(bundle([], { kernel: null }))
  })
})

describe('what was written is read again', () => {
  test('every verdict', async () => {
    expect(await parseBundle(bundleJson(full), 'x')).toEqual(full)
  })

  test('any bundle', async () => {
    await fc.assert(
      fc.asyncProperty(anyBundle, async drawn => {
        const text = bundleJson(drawn)
        const again = await parseBundle(text, 'x')
        expect(again).toEqual(JSON.parse(text))
        expect(bundleJson(again)).toBe(text)
      }),
    )
  })

  test('a bundle from before the log was watched: it says nothing of it', async () => {
    const old = JSON.parse(bundleJson(full))
    delete old.kernel.log
    delete old.kernel.taintReason
    const expected = { ...full, kernel: { ...full.kernel, log: null, taintReason: '' } }
    expect(await parseBundle(JSON.stringify(old), 'x')).toEqual(expected)
  })

  test('a bundle from before deviations were told apart: its lines are kept, the rest is not known', async () => {
    const old = JSON.parse(bundleJson(full))
    delete old.kernel.headline
    for (const one of old.kernel.evidence) {
      delete one.deviation
      delete one.as
    }
    const line =
      'too-small-is-rejected: rejected with SIGSEGV, where classic kernels have it restored by XRSTOR'
    old.kernel.deviations = [line]
    const { kernel: read } = await parseBundle(JSON.stringify(old), 'x')
    expect(read).toMatchObject({ headline: '', deviations: [line] })
    expect(read?.evidence).toEqual([
      { ...full.kernel?.evidence[0], deviation: null, as: [] },
      full.kernel?.evidence[1],
    ])
  })

  test('a bundle from before a case could be of another ABI', async () => {
    const old = JSON.parse(bundleJson(full))
    const { repro } = old.cases.at(-1)
    for (const key of ['abi', 'raise', 'stack']) delete repro[key]
    const again = await parseBundle(JSON.stringify(old), 'x')
    expect(again.cases.at(-1)?.repro).toEqual({ ...repro, abi: 'x86_64', raise: 'tgkill', stack: null })
  })

  test('fields of later versions are passed over', async () => {
    const later = JSON.parse(bundleJson(full))
    later.more = { of: 'it' }
    later.cases[0].more = 1
    expect(await parseBundle(JSON.stringify(later), 'x')).toEqual(full)
  })
})

/** The message for a bundle of which one field is another. */
const refusal = (path: Path, to: unknown): Promise<string> =>
  parseBundle(JSON.stringify(changed(full, path, to)), 'some.json').then(
    () => 'accepted',
    error => {
      expect(error).toBeInstanceOf(BundleError)
      return error.message
    },
  )

describe('what is wrong is named: file, field, value, limit', () => {
  test.each<[string, Path, unknown]>([
    ['bundleVersion is 2, must be 1', ['bundleVersion'], 2],
    ['bundleVersion is missing', ['bundleVersion'], undefined],
    ['tool.name is "other", must be sigframe', ['tool', 'name'], 'other'],
    ['host must be an object, not an array of 0', ['host'], []],
    ['host.xcr0 is "7", must be 0x and 1 to 16 hexadecimal digits in lower case', ['host', 'xcr0'], '7'],
    ['host.xcr0 must be a string, not 7', ['host', 'xcr0'], 7],
    ['host.family is -1, must be at least 0', ['host', 'family'], -1],
    ['host.family is 4294967296, must be at most 4294967295', ['host', 'family'], 2 ** 32],
    ['host.family must be an integer, not 1.5', ['host', 'family'], 1.5],
    ['host.leafD[0].index is 64, must be at most 63', ['host', 'leafD', 0, 'index'], 64],
    [
      'host.leafD has 65 elements, must be at most 64',
      ['host', 'leafD'],
      new Array(65).fill(full.host.leafD[0]),
    ],
    ['kernel must be an object, not "x"', ['kernel'], 'x'],
    [
      'kernel.generation is "next", must be one of classic regressed portable larger',
      ['kernel', 'generation'],
      'next',
    ],
    ['kernel.taintAfter must be a number, not "0"', ['kernel', 'taintAfter'], '0'],
    ['kernel.headline must be a string, not null', ['kernel', 'headline'], null],
    [
      'kernel.evidence[0].deviation is "forth", must be one of ahead behind otherwise',
      ['kernel', 'evidence', 0, 'deviation'],
      'forth',
    ],
    [
      'kernel.evidence[0].as[1] is "next", must be one of classic regressed portable larger',
      ['kernel', 'evidence', 0, 'as', 1],
      'next',
    ],
    ['kernel.deviations[0] must be a string, not an object', ['kernel', 'deviations', 0], {}],
    ['kernel.log.watched is missing', ['kernel', 'log', 'watched'], undefined],
    ['kernel.log must be an object, not "quiet"', ['kernel', 'log'], 'quiet'],
    [
      'kernel.log.lines has 1001 elements, must be at most 1000',
      ['kernel', 'log', 'lines'],
      Array(1001).fill(''),
    ],
    ['startedAt is "yesterday", must be a time as in 2026-11-21T09:57:00.000Z', ['startedAt'], 'yesterday'],
    ['durationMs is -1, must be at least 0', ['durationMs'], -1],
    ['warnings[0] must be a string, not null', ['warnings', 0], null],
    ['cases must be an array, not an object', ['cases'], {}],
    ['cases[3] must be an object, not null', ['cases', 3], null],
    [
      'cases[3].verdict is "maybe", must be one of pass xfail fail skip timeout crash stuck broken',
      ['cases', 3, 'verdict'],
      'maybe',
    ],
    ['cases[0].id has 0 characters, must be at least 1', ['cases', 0, 'id'], ''],
    ['cases[0].id has 501 characters, must be at most 500', ['cases', 0, 'id'], 'x'.repeat(501)],
    ['cases[8].repro.seed must be a number, not "1"', ['cases', 8, 'repro', 'seed'], '1'],
    [
      'cases[8].repro.edit[1].op is an object, must be a string, number or boolean',
      ['cases', 8, 'repro', 'edit', 1, 'op'],
      {},
    ],
    [
      'cases[8].repro.edit[0]["a b"] is null, must be a string, number or boolean',
      ['cases', 8, 'repro', 'edit', 0, 'a b'],
      null,
    ],
    ['cases[8].repro.abi must be a string, not 32', ['cases', 8, 'repro', 'abi'], 32],
    ['cases[8].repro.raise must be a string, not null', ['cases', 8, 'repro', 'raise'], null],
    ['cases[8].repro.stack must be an object, not 4096', ['cases', 8, 'repro', 'stack'], 4096],
    ['cases[8].repro.stack.state is missing', ['cases', 8, 'repro', 'stack', 'state'], undefined],
    ['cases[8].repro.stack.bytes is -1, must be at least 0', ['cases', 8, 'repro', 'stack', 'bytes'], -1],
    [
      `cases[2].id is "${full.cases[1]?.id}", must not be that of cases[1] too`,
      ['cases', 2, 'id'],
      full.cases[1]?.id,
    ],
  ])('%s', async (message, path, to) => {
    expect(await refusal(path, to)).toBe(`some.json: ${message}`)
  })

  test('a rule that does not exist', async () => {
    expect(await refusal(['cases', 0, 'rules'], ['no-such-rule'])).toMatch(
      /^some\.json: cases\[0\]\.rules\[0\] is "no-such-rule", must be one of frame-describes-itself /,
    )
  })

  test('a message is one line, however long the value', async () => {
    const message = await refusal(['cases', 0, 'verdict'], 'x\n\u001b[31m'.repeat(1e5))
    expect(message).toMatch(/^[\x20-\x7e…]{1,300}$/)
  })
})

const problem = (text: string): Promise<string> =>
  parseBundle(text, 'some.json').then(
    () => 'accepted',
    error => (error instanceof BundleError ? error.message : `NOT A BundleError: ${error.stack}`),
  )

describe('what is no bundle at all', () => {
  test.each([
    ['', 'some.json is empty'],
    [' \n', 'some.json is empty'],
    ['null', 'some.json: the bundle must be an object, not null'],
    ['[]', 'some.json: the bundle must be an object, not an array of 0'],
    ['{}', 'some.json: bundleVersion is missing'],
    ['{"a":', 'some.json is not JSON: it ends too early, as if it were cut off'],
    ['{"a":1', 'some.json is not JSON: it ends too early, as if it were cut off'],
    ['{"a', 'some.json is not JSON: it ends too early, as if it were cut off'],
  ])('%j', async (text, message) => {
    expect(await problem(text)).toBe(message)
  })

  test('KTAP', async () => {
    expect(await problem('KTAP version 1\n1..0\n')).toMatch(
      /^some\.json is not JSON: Unexpected token .*K.*$/,
    )
  })
})

describe('what would cost much to refuse is refused soon', () => {
  test.each([
    ['deep', `${'['.repeat(1e6)}`, 'it ends too early'],
    ['deep and whole', `${'['.repeat(1e5)}${']'.repeat(1e5)}`, `must be at most ${deepest} levels down`],
    ['long', `{"warnings":[${'0,'.repeat(1e6)}0]}`, 'warnings has 1000001 elements, must be at most 10000'],
    [
      'many cases',
      `{"cases":[${'0,'.repeat(longestCases)}0]}`,
      `cases has ${longestCases + 1} elements, must be at most ${longestCases}`,
    ],
    [
      'many keys',
      `{${Array.from({ length: 10_001 }, (_, i) => `"k${i}":0`).join()}}`,
      'the bundle has 10001 elements',
    ],
    [
      'wrong cases',
      JSON.stringify({ ...full, cases: new Array(longestCases).fill(0) }),
      'cases[0] must be an object, not 0',
    ],
  ])('%s', async (_, text, message) => {
    const started = performance.now()
    expect(await problem(text)).toContain(message)
    expect(performance.now() - started).toBeLessThan(20_000)
  })
})

describe('any other text ends in the one error', () => {
  const text = bundleJson(full)
  const judged = async (broken: string): Promise<void> => {
    const found = await problem(broken)
    expect(found).toMatch(/^(accepted|some\.json(:| is) .+)$/)
    expect(found.length).toBeLessThan(600)
  }

  test('cut off anywhere', () => toldWhereCut(text, problem))

  test('characters changed', () => judgedWhereChanged(text, judged, 300))

  test('any JSON', async () => {
    await fc.assert(fc.asyncProperty(fc.json(), judged), { numRuns: 300 })
  })

  test('a field replaced by any JSON', async () => {
    const paths = ['bundleVersion', 'tool', 'startedAt', 'durationMs', 'host', 'kernel', 'warnings', 'cases']
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue(), (path, value) =>
        judged(JSON.stringify({ ...full, [path]: value })),
      ),
      { numRuns: 300 },
    )
  })

  test('a field of a case replaced by any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.keys(full.cases[0] as object)),
        fc.jsonValue(),
        (key, value) => judged(JSON.stringify({ ...full, cases: [{ ...full.cases[0], [key]: value }] })),
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

describe('readBundle', () => {
  let folder: string
  const file = (content: string | Buffer): string => {
    const path = join(folder, 'bundle.json')
    writeFileSync(path, content)
    return path
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-bundle-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('a file, also one that begins with a byte order mark', async () => {
    expect(await readBundle(file(bundleJson(full)))).toEqual(full)
    expect(await readBundle(file(`\ufeff${bundleJson(full)}`))).toEqual(full)
  })

  test('none', async () => {
    const path = join(folder, 'nowhere.json')
    await expect(readBundle(path)).rejects.toThrow(
      new BundleError(`${path} cannot be read (ENOENT: no such file or directory)`),
    )
  })

  test('a folder', async () => {
    await expect(readBundle(folder)).rejects.toThrow(
      new BundleError(`${folder} cannot be read (EISDIR: illegal operation on a directory)`),
    )
  })

  test('a name that no file can have', async () => {
    await expect(readBundle('a\0b')).rejects.toThrow(BundleError)
  })

  test('no text', async () => {
    await expect(readBundle(file(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0xff])))).rejects.toThrow(
      / is not UTF-8 text$/,
    )
  })

  test('too large', async () => {
    const path = file('')
    truncateSync(path, largestBundle + 1)
    await expect(readBundle(path)).rejects.toThrow(
      ` is larger than ${largestBundle} bytes, the most that is read`,
    )
  })

  test.skipIf(process.platform === 'win32')('endless', async () => {
    await expect(readBundle('/dev/zero')).rejects.toThrow(`/dev/zero is larger than ${largestBundle} bytes`)
  })

  test.skipIf(process.platform !== 'linux')('a pipe', () => {
    const module = join(import.meta.dirname, '../../dist/lib/report/bundle.js')
    const script = `import { readBundle } from ${JSON.stringify(module)}; console.log((await readBundle('/dev/stdin')).cases.length)`
    const out = execFileSync(
      'sh',
      [
        '-c',
        'cat "$1" | "$2" --input-type=module -e "$3"',
        'sh',
        file(bundleJson(full)),
        process.execPath,
        script,
      ],
      { encoding: 'utf8' },
    )
    expect(out).toBe(`${full.cases.length}\n`)
  })
})

// To bring it up to date: SIGFRAME_UPDATE_SCHEMA=1 npx vitest run test/report/bundle.test.ts && npx biome format --write docs
test('docs/bundle.schema.json is the schema', () => {
  const schema = bundleJsonSchema()
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(schemaFile, `${JSON.stringify(schema, null, 2)}\n`)
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(schema)
})
