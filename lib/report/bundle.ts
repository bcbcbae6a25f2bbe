/**
 * Reading a bundle. Nothing in the file is trusted: whatever is wrong with it ends in one `BundleError`, whose
 * message is one line and names the file, the field, the value and the limit.
 */
import { show } from '../errors.ts'
import type { Bundle, CaseResult } from '../harness/results.ts'
import { largestBundle, longestArray, longestCases } from './bundle-limits.ts'
import { checkSchema, type FileKind, parseBounded, readText, wrongField } from './checked-file.ts'

/** A bundle that cannot be used; the message is for the user. */
export class BundleError extends Error {
  override name = 'BundleError'
}

const kind: FileKind = {
  noun: 'bundle',
  createError: message => new BundleError(message),
  largest: largestBundle,
  longestAt: path => (path.length === 1 && path[0] === 'cases' ? longestCases : longestArray),
}

const checkDistinct = (cases: readonly CaseResult[], file: string): void => {
  const seen = new Map<string, number>()
  cases.forEach(({ id }, i) => {
    const first = seen.get(id)
    if (first !== undefined)
      throw wrongField(
        kind,
        file,
        ['cases', i, 'id'],
        `is ${show(id)}, must not be that of cases[${first}] too`,
      )
    seen.set(id, i)
  })
}

/**
 * The bundle of a text.
 * @param file how messages call it
 * @throws BundleError
 */
export const parseBundle = async (text: string, file: string): Promise<Bundle> => {
  const value = parseBounded(kind, file, text)
  // Loading zod takes longer than many a run: only those pay for it who read a bundle.
  const { shellSchema, caseSchema } = await import('./bundle-schema.ts')
  const shell = checkSchema(kind, file, shellSchema, value)
  const cases = shell.cases.map((one, i) => checkSchema(kind, file, caseSchema, one, ['cases', i]))
  checkDistinct(cases, file)
  return { ...shell, cases }
}

/** The bundle in a file. @throws BundleError */
export const readBundle = async (file: string): Promise<Bundle> =>
  await parseBundle(readText(kind, file), file)
