/**
 * Reading a JSON file of which nothing is trusted: whatever is wrong with it ends in one error, whose message is one
 * line and names the file, the field, the value and the limit.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import type { z } from 'zod'
import { show } from '../errors.ts'
import { deepest } from './bundle-limits.ts'
import { oneLine } from './text.ts'

/** A kind of file. */
export interface FileKind {
  /** As messages call it: `bundle`. */
  readonly noun: string
  readonly createError: (message: string) => Error
  /** The most bytes that are read. */
  readonly largest: number
  /** The most elements of the array or object at this place. */
  readonly longestAt: (path: readonly PropertyKey[]) => number
  /** Levels; a bundle's if left out. */
  readonly deepest?: number
  /** What to do with an ELF file, where users may take one for such a file. */
  readonly elfHint?: string
}

type Issue = z.core.$ZodIssue

const longestMessage = 500

const fileText = (file: string): string => oneLine(file, longestMessage)

/** The error for a file that is wrong as a whole: `name problem`. */
export const wrongFile = (kind: FileKind, file: string, problem: string): Error =>
  kind.createError(`${fileText(file)} ${oneLine(problem, longestMessage)}`)

/** The error for a part of it, when the problem names the field already: `name: problem`. */
export const wrongPart = (kind: FileKind, file: string, problem: string): Error =>
  kind.createError(`${fileText(file)}: ${oneLine(problem, longestMessage)}`)

const fieldOf = ({ noun }: FileKind, path: readonly PropertyKey[]): string =>
  path.reduce<string>((field, key) => {
    if (typeof key === 'number') return `${field}[${key}]`
    const part = String(key)
    if (!/^\w+$/.test(part)) return `${field}[${show(part)}]`
    return field === '' ? part : `${field}.${part}`
  }, '') || `the ${noun}`

/** The error for the field at this place. */
export const wrongField = (
  kind: FileKind,
  file: string,
  path: readonly PropertyKey[],
  problem: string,
): Error => wrongPart(kind, file, `${fieldOf(kind, path)} ${problem}`)

const units = new Map([
  ['string', ' characters'],
  ['array', ' elements'],
])

const sizeOf = (input: unknown): unknown =>
  typeof input === 'string' || Array.isArray(input) ? input.length : input

const limit = (issue: Issue & { code: 'too_big' | 'too_small' }, input: unknown): string => {
  const unit = units.get(issue.origin) ?? ''
  const size = unit === '' ? `is ${show(input)}` : `has ${sizeOf(input)}${unit}`
  return issue.code === 'too_big'
    ? `${size}, must be at most ${issue.maximum}`
    : `${size}, must be at least ${issue.minimum}`
}

const articles: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'an integer',
  boolean: 'a boolean',
  array: 'an array',
  object: 'an object',
  record: 'an object',
  null: 'null',
}

/** An issue of zod's in the words of our other errors. */
const problemOf = (issue: Issue): string => {
  const { input } = issue
  if (input === undefined) return 'is missing'
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${articles[issue.expected] ?? issue.expected}, not ${show(input)}`
    case 'too_big':
    case 'too_small':
      return limit(issue, input)
    case 'invalid_value': {
      const values = issue.values.map(String)
      return `is ${show(input)}, must be ${values.length === 1 ? '' : 'one of '}${values.join(' ')}`
    }
    default:
      return `is ${show(input)}, ${issue.message}`
  }
}

/** The value as the schema has it. @param at where in the file it lies */
export const checkSchema = <T>(
  kind: FileKind,
  file: string,
  schema: z.ZodType<T>,
  value: unknown,
  at: readonly PropertyKey[] = [],
): T => {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  if (issue === undefined) throw wrongFile(kind, file, `is no ${kind.noun}`)
  throw wrongField(kind, file, [...at, ...issue.path], problemOf(issue))
}

/** What a schema cannot say of a file: work whose TypeError or RangeError names a field of it. @throws the kind's error */
export const checkMeaning = <T>(kind: FileKind, file: string, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw wrongPart(kind, file, error.message)
    throw error
  }
}

/** Refuses what is deeper or longer than any file of the kind. */
const checkShape = (
  kind: FileKind,
  file: string,
  value: unknown,
  path: readonly PropertyKey[] = [],
): void => {
  if (typeof value !== 'object' || value === null) return
  const levels = kind.deepest ?? deepest
  if (path.length >= levels)
    throw wrongField(kind, file, path, `lies too deep, must be at most ${levels} levels down`)
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  const most = kind.longestAt(path)
  if (entries.length > most)
    throw wrongField(kind, file, path, `has ${entries.length} elements, must be at most ${most}`)
  for (const [key, inner] of entries) checkShape(kind, file, inner, [...path, key])
}

/** The value of a text, bounded in every direction. */
export const parseBounded = (kind: FileKind, file: string, text: string): unknown => {
  if (text.trim() === '') throw wrongFile(kind, file, 'is empty')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    const at = /at position (\d+)/.exec(message)?.[1]
    // What was wrong only when there was nothing more to read was right so far.
    const cut = /end of JSON|Unterminated/.test(message) || Number(at) >= text.length
    throw wrongFile(kind, file, `is not JSON: ${cut ? 'it ends too early, as if it were cut off' : message}`)
  }
  checkShape(kind, file, value)
  return value
}

/** Standard input, which need not be anything that can be opened: a socket is not. */
export const standardInput = '/dev/stdin'

const waiting = new Int32Array(new SharedArrayBuffer(4))

/** Reads; where nothing has come yet and nobody waits for it, it is waited for here. */
const readSome = (descriptor: number, chunk: Buffer): number => {
  for (;;) {
    try {
      return readSync(descriptor, chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(waiting, 0, 0, 10)
    }
  }
}

/** At most `most` bytes and one more, from anything that can be read: also a pipe, which has no size. */
const readBounded = (file: string, most: number): Buffer => {
  const isInput = file === standardInput
  const descriptor = isInput ? 0 : openSync(file, 'r')
  try {
    const chunks: Buffer[] = []
    let length = 0
    while (length <= most) {
      const chunk = Buffer.allocUnsafe(Math.min(1 << 20, most + 1 - length))
      const read = readSome(descriptor, chunk)
      if (read === 0) break
      chunks.push(chunk.subarray(0, read))
      length += read
    }
    return Buffer.concat(chunks)
  } finally {
    if (!isInput) closeSync(descriptor)
  }
}

const elfMagic = Buffer.from('\x7fELF', 'latin1')

/** For frames: core files have them. */
export const coreHint =
  'sigframe lint FILE --save PREFIX keeps the frames of a core file, which must be a file on disk: a pipe cannot be searched'

/** The text in a file. */
export const readText = (kind: FileKind, file: string): string => {
  let bytes: Buffer
  try {
    bytes = readBounded(file, kind.largest)
  } catch (error) {
    const reason = (error as Error).message.replace(/, \w+( '.*')?$/s, '')
    throw wrongFile(kind, file, `cannot be read (${reason})`)
  }
  if (kind.elfHint !== undefined && bytes.subarray(0, elfMagic.length).equals(elfMagic))
    throw wrongFile(kind, file, `is an ELF file, no ${kind.noun}: ${kind.elfHint}`)
  if (bytes.length > kind.largest)
    throw wrongFile(kind, file, `is larger than ${kind.largest} bytes, the most that is read`)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw wrongFile(kind, file, 'is not UTF-8 text')
  }
}
