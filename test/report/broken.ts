/** Files that are wrong in one place, for tests of what reads them. */
import fc from 'fast-check'
import { expect } from 'vitest'

export type Path = readonly (string | number)[]

/** A copy in which one field is another; undefined leaves it out. */
export const changed = (value: unknown, [key, ...rest]: Path, to: unknown): unknown => {
  if (key === undefined) return to
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<
    string | number,
    unknown
  >
  copy[key] = changed(copy[key], rest, to)
  return copy
}

/** Every place in a value, the innermost ones and those above them. */
export const pathsOf = (value: unknown, path: Path = []): Path[] => [
  ...(path.length === 0 ? [] : [path]),
  ...(typeof value === 'object' && value !== null
    ? (Array.isArray(value) ? [...value.entries()] : Object.entries(value)).flatMap(([key, inner]) =>
        pathsOf(inner, [...path, key]),
      )
    : []),
]

/**
 * Whatever is done to the text is accepted, or refused in one line of bounded length that names the file.
 * @param problem 'accepted', or the message of the one error that the reader throws
 */
export const endsInOneError = async (
  text: string,
  file: string,
  problem: (text: string) => Promise<string>,
): Promise<void> => {
  const json = JSON.parse(text)
  const judged = async (broken: string): Promise<void> => {
    const found = await problem(broken)
    expect(found === 'accepted' || found.startsWith(file), found).toBe(true)
    expect(found).toMatch(/^\P{Cc}{1,1200}$/u)
  }
  await fc.assert(
    fc.asyncProperty(fc.nat({ max: text.length }), end => judged(text.slice(0, end))),
    {
      numRuns: 50,
    },
  )
  await fc.assert(fc.asyncProperty(fc.json(), judged), { numRuns: 100 })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...pathsOf(json)),
      fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.integer(), fc.constant(2 ** 53)),
      (path, value) => judged(JSON.stringify(changed(json, path, value)) ?? ''),
    ),
    { numRuns: 600 },
  )
}

/** The text cut off anywhere is told to be that, and accepted nowhere. */
export const toldWhereCut = (text: string, problem: (text: string) => Promise<string>): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.nat({ max: text.length - 3 }), async end => {
      expect(await problem(text.slice(0, end))).toMatch(/^some\.json is (empty|not JSON: it ends too early)/)
    }),
  )

const fewCharacters: fc.Arbitrary<string> = fc.string({ unit: 'binary', maxLength: 3 })

/** The text with some of its characters others. */
export const judgedWhereChanged = (
  text: string,
  judged: (broken: string) => Promise<void>,
  numRuns: number,
  by = fewCharacters,
): Promise<void> => {
  const change = fc.record({ at: fc.nat({ max: text.length - 1 }), by })
  return fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 5 }), changes =>
      judged(changes.reduce((t, one) => t.slice(0, one.at) + one.by + t.slice(one.at + one.by.length), text)),
    ),
    { numRuns },
  )
}
