import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Collection } from '../../lib/merge/collection.ts'
import { parseBundle } from '../../lib/report/bundle.ts'
import { deepest } from '../../lib/report/bundle-limits.ts'
import {
  CollectionError,
  collectionText,
  largestCollection,
  parseCollection,
  readCollection,
} from '../../lib/report/collection.ts'
import { collectionJsonSchema } from '../../lib/report/collection-schema.ts'
import {
  absent,
  anyResults,
  bundleOf,
  collection,
  emptyMatrix,
  hostOf,
  unread,
  vmOf,
} from '../merge/samples.ts'
import { anyBundle } from './arbitrary.ts'
import { changed, judgedWhereChanged, type Path, toldWhereCut } from './broken.ts'
import { bundle, everyVerdict, result } from './stub.ts'

const schemaFile = join(import.meta.dirname, '../../docs/collection.schema.json')

const full: Collection = collection(
  [
    { name: 'every', problem: null, bundle: bundle(everyVerdict.map(one => result(one))) },
    hostOf('a', 1),
    absent('b'),
    unread('c'),
  ],
  {
    vms: [{ name: 'vm', report: vmOf(1) }],
    matrices: [{ name: 'pairs', matrix: emptyMatrix }],
  },
)

const whole = (of: Collection): string => [...collectionText(of)].join('')

/** In pieces that fall anywhere, each over the one before it, as a file's come. */
const inPieces = (text: string, size: number) =>
  function* (): Generator<Uint8Array> {
    const bytes = Buffer.from(text)
    const piece = Buffer.alloc(size)
    for (let at = 0; at < bytes.length; at += size) {
      const count = bytes.copy(piece, 0, at)
      yield piece.subarray(0, count)
    }
  }

const parse = (text: string, size = 1000): Promise<Collection> =>
  parseCollection(inPieces(text, size), 'some.json')

const text = whole(full)

describe('what was written is read again', () => {
  test.each([1, 2, 7, 64, 1 << 20])('in pieces of %i bytes', async size => {
    expect(await parse(text, size)).toEqual(full)
  })

  test('any results', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyResults,
        fc.array(anyBundle, { maxLength: 3 }),
        fc.integer({ min: 1, max: 5000 }),
        async ({ hosts, ...rest }, bundles, size) => {
          const drawn = bundles.map((one, i) => ({ name: `drawn ${i}`, problem: null, bundle: one }))
          const named = hosts.map((host, i) => ({ ...host, name: `host ${i}` }))
          const some = collection([...named, ...drawn], {
            vms: rest.vms.map((vm, i) => ({ ...vm, name: `vm ${i}` })),
            matrices: rest.matrices.map((matrix, i) => ({ ...matrix, name: `matrix ${i}` })),
          })
          const written = whole(some)
          const again = await parse(written, size)
          expect(again).toEqual(JSON.parse(written))
          expect(whole(again)).toBe(written)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('in any spelling of JSON', async () => {
    const value = JSON.parse(text)
    const reversed = Object.fromEntries(Object.entries(value).reverse())
    expect(await parse(JSON.stringify(value, null, 7))).toEqual(full)
    expect(await parse(JSON.stringify(reversed))).toEqual(full)
    expect(await parse(text.replace('"hosts"', '"h\\u006fsts"'))).toEqual(full)
    expect(await parse(`\ufeff${text}`)).toEqual(full)
  })

  test('fields of later versions are passed over', async () => {
    const value = JSON.parse(text)
    value.hosts[0].more = [{}]
    const later = { more: [[{ a: '[{' }], [], {}], ...value, other: { of: ['it'] } }
    expect(await parse(JSON.stringify(later))).toEqual(full)
  })

  test('strings that look like what is around them', async () => {
    const texts = ['\\', 'a\\\\', '"', '\\"', '[{', ']}', '"hosts":[', '\\"]},{']
    const hosts = texts.map((one, i) => unread(`${one}${i}`, one))
    const some = collection([...hosts, { ...hostOf('last', 1), problem: '\\' }])
    for (const size of [1, 3, 1000]) expect(await parse(whole(some), size)).toEqual(some)
  })

  test('a bundle may be as deep as in a file of its own', async () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)])
    for (const [levels, fits] of [
      [deepest - 1, true],
      [deepest, false],
    ] as const) {
      const own = JSON.stringify({ ...bundleOf(1), more: nested(levels) })
      const inside = JSON.stringify({ name: 'a', problem: null, bundle: JSON.parse(own) })
      const listed = whole(collection([])).replace('"hosts": [', `"hosts": [${inside}`)
      const accepted = (reading: Promise<unknown>) =>
        reading.then(
          () => true,
          () => false,
        )
      expect(await accepted(parseBundle(own, 'x'))).toBe(fits)
      expect(await accepted(parse(listed))).toBe(fits)
    }
  })

  test('a line for each host', () => {
    const lines = text.split('\n')
    expect(lines[0]).toMatch(/^\{"format":"sigframe collection","version":1,"tool":/)
    expect(lines.filter(line => /^\{"name":"(every|a|b|c)",/.test(line))).toHaveLength(4)
    expect(text.endsWith('\n]}\n')).toBe(true)
  })
})

const problem = (of: string, size?: number): Promise<string> =>
  parse(of, size).then(
    () => 'accepted',
    error => (error instanceof CollectionError ? error.message : `NOT A CollectionError: ${error.stack}`),
  )

const refusal = (path: Path, to: unknown): Promise<string> =>
  problem(JSON.stringify(changed(JSON.parse(text), path, to)))

describe('what is wrong is named: file, field, value, limit', () => {
  test.each<[string, Path, unknown]>([
    ['format is "other", must be sigframe collection', ['format'], 'other'],
    ['format is missing', ['format'], undefined],
    ['version is 2, must be 1', ['version'], 2],
    ['tool.name is "other", must be sigframe', ['tool', 'name'], 'other'],
    ['hosts is missing', ['hosts'], undefined],
    ['hosts must be an array, not an object', ['hosts'], {}],
    ['vms must be an array, not null', ['vms'], null],
    ['hosts[2] must be an object, not 7', ['hosts', 2], 7],
    ['hosts[1].name must be a string, not 7', ['hosts', 1, 'name'], 7],
    ['hosts[1].name has 0 characters, must be at least 1', ['hosts', 1, 'name'], ''],
    ['hosts[1].name is "every", must not be that of hosts[0] too', ['hosts', 1, 'name'], 'every'],
    ['hosts[1].problem is missing', ['hosts', 1, 'problem'], undefined],
    ['hosts[2].problem is null, but so is bundle: it must say why', ['hosts', 2, 'problem'], null],
    ['hosts[1].bundle is missing', ['hosts', 1, 'bundle'], undefined],
    ['hosts[1].bundle.bundleVersion is 2, must be 1', ['hosts', 1, 'bundle', 'bundleVersion'], 2],
    [
      'hosts[1].bundle.kernel.release must be a string, not 6',
      ['hosts', 1, 'bundle', 'kernel', 'release'],
      6,
    ],
    [
      'hosts[0].bundle.cases[3].verdict is "maybe", must be one of pass xfail fail skip timeout crash stuck broken',
      ['hosts', 0, 'bundle', 'cases', 3, 'verdict'],
      'maybe',
    ],
    [
      `hosts[0].bundle.cases[1].id is ${JSON.stringify(full.hosts[0]?.bundle?.cases[0]?.id)}, must not be that of cases[0] too`,
      ['hosts', 0, 'bundle', 'cases', 1, 'id'],
      full.hosts[0]?.bundle?.cases[0]?.id,
    ],
    ['vms[0].name must be a string, not null', ['vms', 0, 'name'], null],
    ['vms[0].report: the vm report must be an object, not null', ['vms', 0, 'report'], null],
    ['vms[0].report: format is "x", must be sigframe vm', ['vms', 0, 'report', 'format'], 'x'],
    ['matrices[0].matrix: abi must be a string, not 1', ['matrices', 0, 'matrix', 'abi'], 1],
  ])('%s', async (message, path, to) => {
    expect(await refusal(path, to)).toBe(`some.json: ${message}`)
  })

  test.each([
    ['', 'some.json is empty'],
    ['null', 'some.json: the collection must be an object, not null'],
    ['{}', 'some.json: format is missing'],
    ['[[{}]]', 'some.json: the collection must be an object, not an array of 1'],
    ['{"hosts": [{', 'some.json is not JSON: it ends too early, as if it were cut off'],
    ['{"hosts": [{} {}]}', 'some.json: hosts[0].name is missing'],
  ])('%j', async (of, message) => {
    expect(await problem(of)).toBe(message)
  })

  test('what is wrong between hosts', async () => {
    const lines = text.split('\n')
    const withoutComma = text.replace('},\n{"name":"a"', '}\n{"name":"a"')
    expect(withoutComma.length).toBe(text.length - 1)
    expect(await problem(withoutComma)).toMatch(/^some\.json is not JSON: /)
    expect(await problem(lines.slice(0, 4).join('\n'))).toMatch(/^some\.json is not JSON: it ends too early/)
    expect(await problem(`${text}]`)).toMatch(/^some\.json is not JSON: /)
    expect(await problem(text.replace('"problem"', '"problem'))).toMatch(/^some\.json/)
    expect(await problem(text.replace('\n]}', '\n}]'))).toMatch(/^some\.json is not JSON: /)
  })

  test('a number that is ours is no host', async () => {
    expect(await problem(text.replace('"hosts": [', '"hosts": [0,'))).toBe(
      'some.json: hosts[0] must be an object, not 0',
    )
  })
})

describe('what would cost much to refuse is refused', () => {
  const shell = text.slice(0, text.indexOf('"hosts"'))
  test.each<[string, string, string]>([
    ['deep', `${shell}"hosts": [${'['.repeat(1e5)}${']'.repeat(1e5)}]}`, 'levels down'],
    ['deep around them', `${'{"x":'.repeat(1e5)}0${'}'.repeat(1e5)}`, 'levels down'],
    ['many', `${shell}"hosts": [${'{},'.repeat(10_000)}{}]}`, 'hosts[0].name is missing'],
    [
      'many that are passed over',
      `${shell}"more": [${'{},'.repeat(10_000)}{}]}`,
      'lists more than 10000 things',
    ],
    [
      'many cases',
      `${shell}"hosts":[{"bundle":{"cases":[${'0,'.repeat(100_000)}0]}}]}`,
      'has 100001 elements',
    ],
    [
      'a long shell',
      `${shell}"x": "${'x'.repeat(1 << 20)}"}`,
      'has more than 1048576 bytes around what it lists',
    ],
    ['a long key', `{"${'k'.repeat(1e5)}": [{}]}`, 'format is missing'],
  ])('%s', async (_, of, message) => {
    expect(await problem(of, 1 << 16)).toContain(message)
  })
})

describe('any other text ends in the one error', () => {
  const judged = async (broken: string): Promise<void> => {
    const found = await problem(broken)
    expect(found).toMatch(/^(accepted|some\.json(:| is| has) .+)$/)
    expect(found.length).toBeLessThan(700)
  }

  test('cut off anywhere', () => toldWhereCut(text, problem))

  test('characters changed', () =>
    judgedWhereChanged(
      text,
      judged,
      400,
      fc.oneof(
        fc.string({ unit: 'binary', maxLength: 3 }),
        fc.constantFrom('[', ']', '{', '}', '"', '\\', ','),
      ),
    ))

  test('any JSON, and what is accepted is what JSON.parse finds', async () => {
    await fc.assert(fc.asyncProperty(fc.json(), judged), { numRuns: 300 })
  })

  const value = JSON.parse(text)
  const paths: Path[] = [
    ...Object.keys(value).map(key => [key]),
    ...Object.keys(value.hosts[1]).map(key => ['hosts', 1, key]),
    ...Object.keys(value.hosts[1].bundle).map(key => ['hosts', 1, 'bundle', key]),
    ...Object.keys(value.hosts[1].bundle.cases[0]).map(key => ['hosts', 1, 'bundle', 'cases', 0, key]),
    ['hosts', 0],
    ['vms', 0],
    ['vms', 0, 'report'],
    ['matrices', 0],
    ['matrices', 0, 'matrix'],
  ]

  test('a field replaced by any JSON, or left out', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.integer()),
        (path, to) => judged(JSON.stringify(changed(value, path, to))),
      ),
      { numRuns: 500 },
    )
  })

  test('a text that is no UTF-8', async () => {
    const bytes = Buffer.from(text)
    for (const at of [3, text.indexOf('CPU 1'), bytes.length - 2]) {
      const wrong = Buffer.from(bytes)
      wrong[at] = 0xff
      const found = await parseCollection(() => [wrong], 'x').then(
        () => 'accepted',
        error => error.message,
      )
      expect(found).toMatch(/^x is not UTF-8 text$/)
    }
  })

  test('names that objects already have', async () => {
    const polluted = text.replace(
      '{',
      '{"__proto__":{"polluted":1},"constructor":[{"prototype":{"polluted":1}}],',
    )
    expect(await problem(polluted)).toBe('accepted')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('readCollection', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-collection-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('a file', async () => {
    const path = join(folder, 'all.json')
    writeFileSync(path, text)
    expect(await readCollection(path)).toEqual(full)
  })

  test('none', async () => {
    const path = join(folder, 'nowhere.json')
    await expect(readCollection(path)).rejects.toThrow(
      new CollectionError(`${path} cannot be read (ENOENT: no such file or directory)`),
    )
  })

  test('one that says nothing for long', async () => {
    const path = join(folder, 'long.json')
    writeFileSync(path, '')
    truncateSync(path, 1 << 26)
    await expect(readCollection(path)).rejects.toThrow(
      new CollectionError(`${path} has more than 1048576 bytes around what it lists, the most that is read`),
    )
    expect(largestCollection).toBeGreaterThan(1 << 30)
  })
})

// To bring it up to date: SIGFRAME_UPDATE_SCHEMA=1 npx vitest run test/report/collection.test.ts && npx biome format --write docs
test('docs/collection.schema.json is the schema', () => {
  const schema = collectionJsonSchema()
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(schemaFile, `${JSON.stringify(schema, null, 2)}\n`)
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(schema)
})
