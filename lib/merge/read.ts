/** One file's results, whatever format they have: its content says which. */
import { statSync } from 'node:fs'
import { show } from '../errors.ts'
import type { Bundle } from '../harness/results.ts'
import { largestBundle } from '../report/bundle-limits.ts'
import type { FileKind } from '../report/checked-file.ts'
import { type Chunks, largestCollection, parseCollection, shellOf } from '../report/collection.ts'
import { fileChunks, wholeText } from '../report/file-chunks.ts'
import { largestMatrix } from '../report/matrix-limits.ts'
import type { Share } from '../report/sharing.ts'
import { oneLine } from '../report/text.ts'
import type { Results } from './collection.ts'
import { problemOf } from './outcome.ts'
import { standardInput } from './source.ts'

/** Results that cannot be read; the message says which file, and why. */
export class ResultsError extends Error {
  override name = 'ResultsError'
}

/** Of what can be read once only, all is held; a file is read again. */
const largestHeld = 512 << 20
const headBytes = 4096

const kindUpTo = (largest: number): FileKind => ({
  noun: 'results',
  createError: message => new ResultsError(message),
  largest,
  longestAt: () => 0,
})

const held =
  (pieces: readonly Uint8Array[]): Chunks =>
  () =>
    pieces

const tooLarge = (file: string): Error =>
  new ResultsError(`${oneLine(file)} is larger than ${largestHeld} bytes, the most that is read from a pipe`)

const heldOf = (chunks: Iterable<Uint8Array>): readonly Uint8Array[] =>
  Array.from(chunks, chunk => Buffer.from(chunk))

const inputChunks = async (): Promise<Chunks> => {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    length += piece.length
    if (length > largestHeld) throw tooLarge('standard input')
    pieces.push(piece)
  }
  return held(pieces)
}

const isRegular = (file: string): boolean => statSync(file, { throwIfNoEntry: false })?.isFile() === true

const chunksOf = async (file: string): Promise<Chunks> => {
  if (file === standardInput) return await inputChunks()
  if (isRegular(file)) return () => fileChunks(kindUpTo(largestCollection), file)
  return held(heldOf(fileChunks(kindUpTo(largestHeld), file)))
}

/** The format as our own files name it: at their beginning. Whoever reads the file checks it again. */
const formatInHead = (chunks: Chunks): unknown => {
  const [first] = chunks()
  const head = Buffer.from(first?.subarray(0, headBytes) ?? []).toString('latin1')
  const found = /^\s*\{\s*"(format|bundleVersion)"\s*:\s*(?:"([a-z ]{1,40})"|\d+)\s*,/.exec(head)
  return found === null ? undefined : found[1] === 'format' ? found[2] : 'bundle'
}

const formatOf = (chunks: Chunks, file: string): unknown => {
  const inHead = formatInHead(chunks)
  if (inHead !== undefined) return inHead
  const shell = shellOf(chunks, file)
  if (typeof shell !== 'object' || shell === null) return undefined
  if ('format' in shell) return shell.format
  return 'bundleVersion' in shell ? 'bundle' : undefined
}

const none: Results = { hosts: [], vms: [], matrices: [] }

const ofBundle = (name: string, bundle: Bundle): Results => ({
  ...none,
  hosts: [{ name, problem: problemOf(bundle), bundle }],
})

/** @throws ResultsError and those of each format */
const readAny = async (path: string, name: string, share: Share): Promise<Results> => {
  const file = path === standardInput ? 'standard input' : path
  const chunks = await chunksOf(path)
  const text = (largest: number): string => wholeText(kindUpTo(largest), chunks(), file)
  const format = formatOf(chunks, file)
  switch (format) {
    case 'bundle': {
      const { parseBundle } = await import('../report/bundle.ts')
      return ofBundle(name, share(await parseBundle(text(largestBundle), file)))
    }
    case 'sigframe vm': {
      const { parseVmReport, largestVmReport } = await import('../report/vm/read.ts')
      return { ...none, vms: [{ name, report: await parseVmReport(text(largestVmReport), file) }] }
    }
    case 'sigframe matrix': {
      const { parseMatrix } = await import('../report/matrix-file.ts')
      return { ...none, matrices: [{ name, matrix: await parseMatrix(text(largestMatrix), file) }] }
    }
    case 'sigframe collection':
      return await parseCollection(chunks, file, share)
    default:
      throw new ResultsError(
        format === undefined
          ? `${oneLine(file)} has no results of sigframe: neither bundleVersion nor format`
          : `${oneLine(file)} cannot be merged: its format is ${show(format)}`,
      )
  }
}

/** What says that a file is at fault, and not we. */
const told: ReadonlySet<string> = new Set([
  'ResultsError',
  'BundleError',
  'VmReportError',
  'MatrixFileError',
  'CollectionError',
])

/** The results in a file; of one that cannot be read, a host whose problem says why. */
export const readResults = async (file: string, name: string, share: Share): Promise<Results> => {
  try {
    return await readAny(file, name, share)
  } catch (error) {
    if (!(error instanceof Error) || !told.has(error.name)) throw error
    return { ...none, hosts: [{ name, problem: error.message, bundle: null }] }
  }
}
