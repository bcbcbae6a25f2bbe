/**
 * Pair matrices as files. Nothing in a file is trusted: whatever is wrong with it ends in one `MatrixFileError`, whose
 * message is one line and names the file and the field.
 */
import { show } from '../errors.ts'
import type { MatrixHost, Pair, PairFrame, PairMatrix } from '../matrix/matrix.ts'
import { layoutFromJSON } from '../xstate/layout.ts'
import { longestArray } from './bundle-limits.ts'
import { checkSchema, type FileKind, parseBounded, readText, wrongField, wrongPart } from './checked-file.ts'
import { type KeysOf, pick, toJson } from './json.ts'
import { largestMatrix, mostPairs } from './matrix-limits.ts'

/** A pair matrix that cannot be used; the message is for the user. */
export class MatrixFileError extends Error {
  override name = 'MatrixFileError'
}

const kind: FileKind = {
  noun: 'pair matrix',
  createError: message => new MatrixFileError(message),
  largest: largestMatrix,
  longestAt: path => (path.length === 1 && path[0] === 'pairs' ? mostPairs : longestArray),
}

const matrixKeys: KeysOf<PairMatrix> = {
  format: true,
  version: true,
  tool: true,
  abi: true,
  generations: true,
  kernel: true,
  hosts: true,
  pairs: true,
}

const hostKeys: KeysOf<MatrixHost> = {
  name: true,
  title: true,
  kind: true,
  here: true,
  size: true,
  layout: true,
}

const pairKeys: KeysOf<Pair> = {
  from: true,
  to: true,
  generation: true,
  outcome: true,
  unused: true,
  silent: true,
  reason: true,
  evidence: true,
  frames: true,
}

const frameKeys: KeysOf<PairFrame> = {
  used: true,
  end: true,
  lost: true,
  unknown: true,
  leftOver: true,
  seen: true,
}

const plainFrame = (frame: PairFrame): PairFrame => {
  const { seen } = frame
  const plain = seen === null ? null : pick(seen, { outcome: true, observed: true, asPredicted: true })
  return pick({ ...frame, seen: plain }, frameKeys)
}

/** A matrix with its keys in order, and with no others. */
const plainMatrix = (matrix: PairMatrix): PairMatrix =>
  pick(
    {
      ...matrix,
      tool: pick(matrix.tool, { name: true, version: true }),
      kernel: matrix.kernel === null ? null : pick(matrix.kernel, { release: true, generation: true }),
      hosts: matrix.hosts.map(host => pick(host, hostKeys)),
      pairs: matrix.pairs.map(pair => pick({ ...pair, frames: pair.frames.map(plainFrame) }, pairKeys)),
    },
    matrixKeys,
  )

/** A matrix as JSON: docs/matrix.schema.json describes it. The same matrix gives the same text. */
export const matrixJson = (matrix: PairMatrix): string => toJson(plainMatrix(matrix))

const checkHosts = (hosts: readonly MatrixHost[], file: string): ReadonlySet<string> => {
  const names = new Set<string>()
  hosts.forEach(({ name, size, layout }, i) => {
    if (names.has(name))
      throw wrongField(kind, file, ['hosts', i, 'name'], `is ${show(name)}, which an earlier host has`)
    names.add(name)
    let real: number
    try {
      real = layoutFromJSON(layout, `hosts[${i}].layout`).size
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error
      throw wrongPart(kind, file, error.message)
    }
    if (size !== real)
      throw wrongField(kind, file, ['hosts', i, 'size'], `is ${size}, but its layout has ${real} bytes`)
  })
  return names
}

/** What a schema cannot say of a pair: the field that is wrong, and what is wrong with it. */
const wrongOf = (
  { from, to, generation, outcome, unused, frames, evidence }: Pair,
  names: ReadonlySet<string>,
  generations: readonly string[],
): readonly [keyof Pair, string] | null => {
  if (!names.has(from)) return ['from', `is ${show(from)}, which no host is called`]
  if (!names.has(to)) return ['to', `is ${show(to)}, which no host is called`]
  if (!generations.includes(generation)) return ['generation', `is ${generation}, which generations lacks`]
  if ((outcome === 'works if unused') !== unused.length > 0)
    return ['unused', `has ${unused.length} elements, but outcome is ${outcome}`]
  if (evidence === 'live' && frames.some(({ seen }) => seen === null))
    return ['evidence', 'is live, but of a frame nothing was seen']
  return null
}

const checkPairs = (
  pairs: readonly Pair[],
  names: ReadonlySet<string>,
  generations: readonly string[],
  file: string,
): void => {
  const seen = new Set<string>()
  pairs.forEach((pair, i) => {
    const wrong = wrongOf(pair, names, generations)
    if (wrong !== null) throw wrongField(kind, file, ['pairs', i, wrong[0]], wrong[1])
    const key = JSON.stringify([pair.generation, pair.from, pair.to])
    if (seen.has(key)) throw wrongField(kind, file, ['pairs', i], 'is of hosts that an earlier pair is of')
    seen.add(key)
  })
}

/**
 * The matrix of a text.
 * @param file how messages call it
 * @throws MatrixFileError
 */
export const parseMatrix = async (text: string, file: string): Promise<PairMatrix> => {
  const value = parseBounded(kind, file, text)
  // Loading zod takes longer than many a run: only those pay for it who read a file.
  const { matrixShellSchema, pairSchema } = await import('./matrix-file-schema.ts')
  const shell = checkSchema(kind, file, matrixShellSchema, value)
  const pairs = shell.pairs.map((one, i) => checkSchema(kind, file, pairSchema, one, ['pairs', i]))
  checkPairs(pairs, checkHosts(shell.hosts, file), shell.generations, file)
  return { ...shell, pairs }
}

/** The matrix in a file. @throws MatrixFileError */
export const readMatrix = async (file: string): Promise<PairMatrix> =>
  await parseMatrix(readText(kind, file), file)
