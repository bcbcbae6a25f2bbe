import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deepest } from '../../lib/report/bundle-limits.ts'
import { MatrixFileError, matrixJson, parseMatrix, readMatrix } from '../../lib/report/matrix-file.ts'
import { matrixJsonSchema } from '../../lib/report/matrix-file-schema.ts'
import { largestMatrix } from '../../lib/report/matrix-limits.ts'
import { changed, judgedWhereChanged, type Path, toldWhereCut } from './broken.ts'
import { seen, whole } from './matrix-samples.ts'

const schemaFile = join(import.meta.dirname, '../../docs/matrix.schema.json')

/** Small, with something seen. */
const text = matrixJson(seen)
const json = JSON.parse(text)

const problem = (of: string): Promise<string> =>
  parseMatrix(of, 'some.json').then(
    () => 'accepted',
    error => (error instanceof MatrixFileError ? error.message : `NOT A MatrixFileError: ${error.stack}`),
  )

describe('what was written is read again', () => {
  test.each([
    ['the whole catalogue', whole],
    ['with what was seen', seen],
    ['of nothing', { ...seen, hosts: [], pairs: [], generations: [], kernel: null }],
  ])('%s', async (_, matrix) => {
    const read = await parseMatrix(matrixJson(matrix), 'x')
    expect(read).toEqual(matrix)
    expect(matrixJson(read)).toBe(matrixJson(matrix))
  })

  test('what is not known is passed over, and not written', async () => {
    const more = {
      ...json,
      more: { of: 'it' },
      pairs: json.pairs.map((pair: object) => ({ ...pair, more: 1 })),
    }
    const read = await parseMatrix(JSON.stringify(more), 'x')
    expect(matrixJson(read)).toBe(text)
    expect(matrixJson(more)).toBe(text)
  })

  test('is text that begins with the format and ends', () => {
    expect(text.startsWith('{\n  "format": "sigframe matrix",\n  "version": 1,\n')).toBe(true)
    expect(text.endsWith('\n}\n')).toBe(true)
  })
})

const refusal = (path: Path, to: unknown): Promise<string> => problem(JSON.stringify(changed(json, path, to)))

const live = json.pairs.findIndex(({ evidence }: { evidence: string }) => evidence === 'live')

describe('what is wrong is named: file, field, value, limit', () => {
  test.each<[string, Path, unknown]>([
    ['format is "sigframe bundle", must be sigframe matrix', ['format'], 'sigframe bundle'],
    ['version is 2, must be 1', ['version'], 2],
    ['tool.name is "other", must be sigframe', ['tool', 'name'], 'other'],
    [
      'generations[0] is "newer", must be one of classic regressed portable larger',
      ['generations', 0],
      'newer',
    ],
    ['generations must be an array, not null', ['generations'], null],
    ['kernel.release is missing', ['kernel', 'release'], undefined],
    ['hosts[1].name is "haswell", which an earlier host has', ['hosts', 1, 'name'], 'haswell'],
    [
      'hosts[1].kind is "cloud", must be one of this host bundle info catalogue',
      ['hosts', 1, 'kind'],
      'cloud',
    ],
    ['hosts[0].size is 833, but its layout has 832 bytes', ['hosts', 0, 'size'], 833],
    [
      'hosts[0].layout.components[0] (avx).offset is 100, must be at least 576',
      ['hosts', 0, 'layout', 'components', 0, 'offset'],
      100,
    ],
    ['pairs[3].from is "nobody", which no host is called', ['pairs', 3, 'from'], 'nobody'],
    ['pairs[3].to is "nobody", which no host is called', ['pairs', 3, 'to'], 'nobody'],
    ['pairs[1] is of hosts that an earlier pair is of', ['pairs', 1], json.pairs[0]],
    [
      'pairs[3].outcome is "fine", must be one of works works if unused breaks unknown',
      ['pairs', 3, 'outcome'],
      'fine',
    ],
    ['pairs[0].unused has 1 elements, but outcome is works', ['pairs', 0, 'unused'], ['avx']],
    [
      'pairs[0].unused has 0 elements, but outcome is works if unused',
      ['pairs', 0, 'outcome'],
      'works if unused',
    ],
    ['pairs[0].silent must be a boolean, not 0', ['pairs', 0, 'silent'], 0],
    ['pairs[0].frames has 0 elements, must be at least 1', ['pairs', 0, 'frames'], []],
    ['pairs[0].frames[0].used[0] must be a string, not 7', ['pairs', 0, 'frames', 0, 'used', 0], 7],
    ['pairs[0].frames[0].seen is missing', ['pairs', 0, 'frames', 0, 'seen'], undefined],
    [
      `pairs[${live}].evidence is live, but of a frame nothing was seen`,
      ['pairs', live, 'frames', 0, 'seen'],
      null,
    ],
  ])('%s', async (message, path, to) => {
    expect(await refusal(path, to)).toBe(`some.json: ${message}`)
  })

  test('a generation that the matrix is not of', async () => {
    expect(await refusal(['generations'], ['classic'])).toMatch(
      /^some\.json: pairs\[9\]\.generation is regressed, which generations lacks$/,
    )
  })

  test('a message is one line, however long the value', async () => {
    expect(await refusal(['pairs', 0, 'from'], 'x\n\u001b[31m'.repeat(90))).toMatch(/^[\x20-\x7e…]{1,300}$/)
  })
})

describe('what is no matrix at all, or would cost much to refuse', () => {
  test.each([
    ['', 'some.json is empty'],
    ['null', 'some.json: the pair matrix must be an object, not null'],
    ['{}', 'some.json: format is missing'],
    ['{"a":', 'some.json is not JSON: it ends too early, as if it were cut off'],
    [`${'['.repeat(1e5)}${']'.repeat(1e5)}`, `must be at most ${deepest} levels down`],
    [`{"hosts":[${'0,'.repeat(1e5)}0]}`, 'hosts has 100001 elements, must be at most 10000'],
    [`{"pairs":[${'0,'.repeat(1e5)}0]}`, 'pairs has 100001 elements, must be at most 100000'],
  ])('%.20s', async (of, message) => {
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

  test('characters changed', () => judgedWhereChanged(text, judged, 100))

  test('any JSON', async () => {
    await fc.assert(fc.asyncProperty(fc.json(), judged), { numRuns: 300 })
  })

  const keysAt = (path: Path): Path[] =>
    Object.keys(path.reduce((value, key) => value[key], json)).map(key => [...path, key])

  const paths: Path[] = [
    ...[
      [],
      ['tool'],
      ['kernel'],
      ['hosts', 0],
      ['hosts', 0, 'layout'],
      ['hosts', 0, 'layout', 'components', 0],
    ],
    ['pairs', live],
    ['pairs', live, 'frames', 0],
    ['pairs', live, 'frames', 0, 'seen'],
  ].flatMap(path => keysAt(path as Path))

  test('a field replaced by any JSON, or left out', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...paths),
        fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.integer()),
        (path, value) => judged(JSON.stringify(changed(json, path, value))),
      ),
      { numRuns: 500 },
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

describe('readMatrix', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'sigframe-matrix-file-'))
  })

  afterAll(() => {
    rmSync(folder, { recursive: true })
  })

  test('a file', async () => {
    const file = join(folder, 'matrix.json')
    writeFileSync(file, text)
    expect(await readMatrix(file)).toEqual(seen)
  })

  test('none, and one that is too large', async () => {
    await expect(readMatrix(join(folder, 'nowhere.json'))).rejects.toThrow(
      /nowhere\.json cannot be read \(ENOENT: no such file or directory\)$/,
    )
    const large = join(folder, 'large.json')
    writeFileSync(large, '')
    truncateSync(large, largestMatrix + 1)
    await expect(readMatrix(large)).rejects.toThrow(
      ` is larger than ${largestMatrix} bytes, the most that is read`,
    )
  })
})

// To bring it up to date: SIGFRAME_UPDATE_SCHEMA=1 npx vitest run test/report/matrix-file.test.ts && npx biome format --write docs
test('docs/matrix.schema.json is the schema', () => {
  const schema = matrixJsonSchema()
  if (process.env.SIGFRAME_UPDATE_SCHEMA) writeFileSync(schemaFile, `${JSON.stringify(schema, null, 2)}\n`)
  expect(JSON.parse(readFileSync(schemaFile, 'utf8'))).toEqual(schema)
})
