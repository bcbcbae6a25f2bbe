/**
 * Reading a bundle. Nothing in the file is trusted: whatever is wrong with it ends in one `BundleError`, whose
 * message is one line and names the file, the field, the value and the limit.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import type { z } from 'zod'
import { show } from '../errors.ts'
import type { Bundle, CaseResult } from '../harness/results.ts'
import { deepest, largestBundle, longestArray, longestCases } from './bundle-limits.ts'
import { oneLine } from './text.ts'

/** A bundle that cannot be used; the message is for the user. */
export class BundleError extends Error {
  override name = 'BundleError'
}

type Issue = z.core.$ZodIssue

const longestMessage = 500

const fileText = (file: string): string => oneLine(file, longestMessage)

const wrongFile = (file: string, problem: string): BundleError =>
  new BundleError(`${fileText(file)} ${oneLine(problem, longestMessage)}`)

const fieldOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>((field, key) => {
    if (typeof key === 'number') return `${field}[${key}]`
    const part = String(key)
    if (!/^\w+$/.test(part)) return `${field}[${show(part)}]`
    return field === '' ? part : `${field}.${part}`
  }, '') || 'the bundle'

const wrongField = (file: string, path: readonly PropertyKey[], problem: string): BundleError =>
  new BundleError(`${fileText(file)}: ${oneLine(`${fieldOf(path)} ${problem}`, longestMessage)}`)

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

const check = <T>(schema: z.ZodType<T>, value: unknown, file: string, at: readonly PropertyKey[]): T => {
  const parsed = schema.safeParse(value, { reportInput: true })
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  if (issue === undefined) throw wrongFile(file, 'is no bundle')
  throw wrongField(file, [...at, ...issue.path], problemOf(issue))
}

/** Refuses what is deeper or longer than any bundle. */
const checkShape = (value: unknown, file: string, path: readonly PropertyKey[] = []): void => {
  if (typeof value !== 'object' || value === null) return
  if (path.length >= deepest)
    throw wrongField(file, path, `lies too deep, must be at most ${deepest} levels down`)
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value)
  const most = path.length === 1 && path[0] === 'cases' ? longestCases : longestArray
  if (entries.length > most)
    throw wrongField(file, path, `has ${entries.length} elements, must be at most ${most}`)
  for (const [key, inner] of entries) checkShape(inner, file, [...path, key])
}

const checkDistinct = (cases: readonly CaseResult[], file: string): void => {
  const seen = new Map<string, number>()
  cases.forEach(({ id }, i) => {
    const first = seen.get(id)
    if (first !== undefined)
      throw wrongField(file, ['cases', i, 'id'], `is ${show(id)}, must not be that of cases[${first}] too`)
    seen.set(id, i)
  })
}

const parseJson = (text: string, file: string): unknown => {
  if (text.trim() === '') throw wrongFile(file, 'is empty')
  try {
    return JSON.parse(text)
  } catch (error) {
    const { message } = error as Error
    const at = /at position (\d+)/.exec(message)?.[1]
    // What was wrong only when there was nothing more to read was right so far.
    const cut = /end of JSON|Unterminated/.test(message) || Number(at) >= text.length
    throw wrongFile(file, `is not JSON: ${cut ? 'it ends too early, as if it were cut off' : message}`)
  }
}

/**
 * The bundle of a text.
 * @param file how messages call it
 * @throws BundleError
 */
export const parseBundle = async (text: string, file: string): Promise<Bundle> => {
  const value = parseJson(text, file)
  checkShape(value, file)
  // Loading zod takes longer than many a run: only those pay for it who read a bundle.
  const schemas = await import('./bundle-schema.ts')
  const shell = check(schemas.shellSchema, value, file, [])
  const cases = shell.cases.map((one, i) => check(schemas.caseSchema, one, file, ['cases', i]))
  checkDistinct(cases, file)
  return { ...shell, cases }
}

/** At most `most` bytes and one more, from anything that can be read: also a pipe, which has no size. */
const readBounded = (file: string, most: number): Buffer => {
  const descriptor = openSync(file, 'r')
  try {
    const chunks: Buffer[] = []
    let length = 0
    while (length <= most) {
      const chunk = Buffer.allocUnsafe(Math.min(1 << 20, most + 1 - length))
      const read = readSync(descriptor, chunk)
      if (read === 0) break
      chunks.push(chunk.subarray(0, read))
      length += read
    }
    return Buffer.concat(chunks)
  } finally {
    closeSync(descriptor)
  }
}

const decode = (bytes: Buffer, file: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw wrongFile(file, 'is not UTF-8 text')
  }
}

/** The bundle in a file. @throws BundleError */
export const readBundle = async (file: string): Promise<Bundle> => {
  let bytes: Buffer
  try {
    bytes = readBounded(file, largestBundle)
  } catch (error) {
    throw wrongFile(file, `cannot be read (${(error as Error).message.replace(/, \w+( '.*')?$/s, '')})`)
  }
  if (bytes.length > largestBundle)
    throw wrongFile(file, `is larger than ${largestBundle} bytes, the most that is read`)
  return await parseBundle(decode(bytes, file), file)
}
