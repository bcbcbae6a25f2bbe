/** Results of any number of hosts in one, from files of any of our formats, by whatever way they came. */
import { createSharing } from '../report/sharing.ts'
import { oneLine } from '../report/text.ts'
import { toolVersion } from '../version.ts'
import type { Collection, Results } from './collection.ts'
import { joined } from './join.ts'
import { namesOf } from './names.ts'
import { readResults } from './read.ts'
import { expandFiles, MergeError, standardInput } from './source.ts'

export interface CollectOptions {
  /** Names of hosts that must be there: one that is not becomes an error of the collection, not a gap in it. */
  readonly expected?: readonly string[]
  /** Told before each file is read. */
  readonly onFile?: (file: string, done: number, all: number) => void
}

const longestName = 200

/** Names are those of files, which are one printable line. @throws MergeError */
const checkExpected = (expected: readonly string[]): readonly string[] =>
  expected.map(name => {
    if (name === '' || name !== oneLine(name, longestName))
      throw new MergeError(
        `expected is ${JSON.stringify(name.slice(0, longestName))}, must be a name of 1 to ${longestName} printable characters`,
      )
    return name
  })

/**
 * Merges results: bundles, reports of sigframe vm, matrices and collections, each told by its content; a folder stands
 * for all *.json in it, `-` for standard input. A file that cannot be read is a host with a problem, the rest is merged.
 * @throws MergeError for a file that does not exist, and where there is nothing at all to merge
 */
export const collect = async (
  files: readonly string[],
  { expected = [], onFile }: CollectOptions = {},
): Promise<Collection> => {
  const awaited = checkExpected(expected)
  const found = expandFiles(files)
  if (found.length === 0 && awaited.length === 0)
    throw new MergeError(
      files.length === 0
        ? 'there is nothing to merge: name a file'
        : `there is no *.json in ${files.join(' ')}`,
    )
  const names = namesOf(
    found.map(file => (file === standardInput ? 'stdin' : file)),
    awaited,
  )
  const share = createSharing()
  const parts: Results[] = []
  for (const [i, file] of found.entries()) {
    onFile?.(file, i, found.length)
    parts.push(await readResults(file, names[i] as string, share))
  }
  return {
    format: 'sigframe collection',
    version: 1,
    tool: { name: 'sigframe', version: toolVersion() },
    ...joined(parts, awaited),
  }
}
