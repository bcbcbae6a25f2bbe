/**
 * Collections on disk. Hundreds of hosts are more than one text can hold: one is written and read a host at a time.
 * Nothing in the file is trusted: whatever is wrong with it ends in one `CollectionError`, whose message is one line and
 * names the file, the field, the value and the limit.
 */
import { show } from '../errors.ts'
import type { CollectedHost, Collection } from '../merge/collection.ts'
import { deepest, largestBundle, longestArray, longestCases } from './bundle-limits.ts'
import { checkSchema, type FileKind, parseBounded, wrongField, wrongFile } from './checked-file.ts'
import { fileChunks } from './file-chunks.ts'
import { pick, plainBundle } from './json.ts'
import { type JsonPart, jsonParts, type PartLimits } from './json-parts.ts'
import { matrixJson, parseMatrix } from './matrix-file.ts'
import { createSharing, type Share } from './sharing.ts'
import { vmJson } from './vm/json.ts'
import { largestVmReport, parseVmReport } from './vm/read.ts'

/** A collection that cannot be used; the message is for the user. */
export class CollectionError extends Error {
  override name = 'CollectionError'
}

/** Bytes of a file: those of a thousand hosts on which all was run. Of what they have in common little is held twice. */
export const largestCollection = 4 * 1024 ** 3

const kind: FileKind = {
  noun: 'collection',
  createError: message => new CollectionError(message),
  largest: largestCollection,
  longestAt: path => (path.length === 2 && path[1] === 'cases' ? longestCases : longestArray),
}

/** A bundle lies in a host. */
const hostKind: FileKind = { ...kind, noun: 'host', deepest: deepest + 1 }

/** What has a reader of its own, which has limits of its own. */
const otherKind: FileKind = {
  ...kind,
  noun: 'result',
  deepest: 2 * deepest,
  longestAt: () => longestCases,
}

const limits: PartLimits = {
  part: Math.max(largestBundle, largestVmReport) + (1 << 20),
  shell: 1 << 20,
  parts: longestArray,
}

type Path = readonly PropertyKey[]
type Schemas = typeof import('./bundle-schema.ts') & typeof import('./collection-schema.ts')

/** What reading takes along. */
interface Reading {
  readonly file: string
  readonly schemas: Schemas
  readonly share: Share
}

/** Refuses the second of two that should be told apart. `at` is where the i-th of the keys lies. */
const checkDistinct = (
  keys: readonly string[],
  at: (i: number) => Path,
  list: string,
  file: string,
): void => {
  const seen = new Map<string, number>()
  keys.forEach((key, i) => {
    const first = seen.get(key)
    if (first !== undefined)
      throw wrongField(kind, file, at(i), `is ${show(key)}, must not be that of ${list}[${first}] too`)
    seen.set(key, i)
  })
}

const checkHost = ({ key, index, text }: JsonPart, { file, schemas, share }: Reading): CollectedHost => {
  const at = [key, index]
  const value = parseBounded(hostKind, `${file}: ${key}[${index}]`, text)
  const { bundle: shell, ...rest } = checkSchema(kind, file, schemas.hostShellSchema, value, at)
  if (shell === null) {
    if (rest.problem === null)
      throw wrongField(kind, file, [...at, 'problem'], 'is null, but so is bundle: it must say why')
    return { ...rest, bundle: null }
  }
  const inCases = [...at, 'bundle', 'cases']
  const cases = shell.cases.map((one, i) => checkSchema(kind, file, schemas.caseSchema, one, [...inCases, i]))
  checkDistinct(
    cases.map(({ id }) => id),
    i => [...inCases, i, 'id'],
    'cases',
    file,
  )
  return { ...rest, bundle: share({ ...shell, cases }) }
}

/** By a reader that knows a whole text alone. */
const within = async <T>(
  read: (text: string, file: string) => Promise<T>,
  value: unknown,
  name: string,
): Promise<T> => {
  try {
    return await read(JSON.stringify(value ?? null), name)
  } catch (error) {
    const isTold =
      error instanceof Error && (error.name === 'VmReportError' || error.name === 'MatrixFileError')
    throw isTold ? new CollectionError(error.message) : error
  }
}

const checkPart = async (part: JsonPart, reading: Reading): Promise<unknown> => {
  const { key, index, text } = part
  const { file, schemas } = reading
  const name = `${file}: ${key}[${index}]`
  if (key === 'hosts') return checkHost(part, reading)
  if (key === 'vms') {
    const value = parseBounded(otherKind, name, text)
    const { report, ...rest } = checkSchema(kind, file, schemas.vmShellSchema, value, [key, index])
    return { ...rest, report: await within(parseVmReport, report, `${name}.report`) }
  }
  if (key === 'matrices') {
    const value = parseBounded(otherKind, name, text)
    const { matrix, ...rest } = checkSchema(kind, file, schemas.matrixShellSchema, value, [key, index])
    return { ...rest, matrix: await within(parseMatrix, matrix, `${name}.matrix`) }
  }
  // A later version may list more.
  return undefined
}

/** Of a file that is read as often as it is asked for. */
export type Chunks = () => Iterable<Uint8Array>

const fail =
  (file: string) =>
  (problem: string): Error =>
    wrongFile(kind, file, problem)

/** What lies around the parts of a file of any format. @throws CollectionError where it is no JSON */
export const shellOf = (chunks: Chunks, file: string): unknown => {
  const parts = jsonParts(
    chunks(),
    { ...limits, shell: limits.part, parts: Number.POSITIVE_INFINITY },
    fail(file),
  )
  while (true) {
    const { done, value } = parts.next()
    if (done === true) return parseBounded(otherKind, file, value)
  }
}

/**
 * The collection in a file's bytes. Equal parts of its bundles are held once.
 * @param file how messages call it
 * @throws CollectionError
 */
export const parseCollection = async (
  chunks: Chunks,
  file: string,
  share: Share = createSharing(),
): Promise<Collection> => {
  // Loading zod takes longer than many a run: only those pay for it who read a collection.
  const [bundles, collections] = await Promise.all([
    import('./bundle-schema.ts'),
    import('./collection-schema.ts'),
  ])
  const schemas = { ...bundles, ...collections }
  const reading = { file, schemas, share }
  const read = new Map<number, unknown>()
  const parts = jsonParts(chunks(), limits, fail(file))
  let next = parts.next()
  while (next.done !== true) {
    read.set(next.value.number, await checkPart(next.value, reading))
    next = parts.next()
  }
  const shell = checkSchema(kind, file, schemas.collectionShellSchema, parseBounded(kind, file, next.value))
  const listed = <T extends { readonly name: string }>(list: 'hosts' | 'vms' | 'matrices'): readonly T[] => {
    const found = shell[list].map((mark, i) => {
      // What is no array was no part: neither an object nor an array.
      if (!Array.isArray(mark))
        throw wrongField(kind, file, [list, i], `must be an object, not ${show(mark)}`)
      return read.get(mark[0]) as T
    })
    checkDistinct(
      found.map(({ name }) => name),
      i => [list, i, 'name'],
      list,
      file,
    )
    return found
  }
  const { format, version, tool } = shell
  return {
    format,
    version,
    tool,
    hosts: listed<Collection['hosts'][number]>('hosts'),
    vms: listed<Collection['vms'][number]>('vms'),
    matrices: listed<Collection['matrices'][number]>('matrices'),
  }
}

/** The collection in a file. @throws CollectionError */
export const readCollection = async (file: string): Promise<Collection> =>
  await parseCollection(() => fileChunks(kind, file), file)

function* listText(texts: Iterable<string>): Generator<string> {
  let before = '\n'
  for (const text of texts) {
    yield before + text
    before = ',\n'
  }
}

/**
 * A collection as pieces of a text: a line for each host. Together they may be longer than a text can be. The same
 * collection gives the same pieces.
 */
export function* collectionText({ tool, hosts, vms, matrices }: Collection): Generator<string> {
  const head = JSON.stringify({ format: 'sigframe collection', version: 1, tool: pick(tool, toolKeys) })
  yield `${head.slice(0, -1)},\n"hosts": [`
  yield* listText(mapped(hosts, hostText))
  yield '\n],\n"vms": ['
  yield* listText(mapped(vms, ({ name, report }) => nested({ name }, 'report', vmJson(report))))
  yield '\n],\n"matrices": ['
  yield* listText(mapped(matrices, ({ name, matrix }) => nested({ name }, 'matrix', matrixJson(matrix))))
  yield '\n]}\n'
}

const toolKeys = { name: true, version: true } as const

function* mapped<T, U>(things: Iterable<T>, change: (thing: T) => U): Generator<U> {
  for (const thing of things) yield change(thing)
}

const hostText = ({ name, problem, bundle }: CollectedHost): string =>
  JSON.stringify({ name, problem, bundle: bundle === null ? null : plainBundle(bundle) })

/** An object with one more field, which is JSON already. */
const nested = (value: object, key: string, json: string): string =>
  `${JSON.stringify(value).slice(0, -1)},"${key}":${json.trim()}}`
