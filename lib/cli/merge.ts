/** `sigframe merge`: results of any number of hosts in one. */
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import type { Collection } from '../merge/collection.ts'
import { UsageError } from './errors.ts'
import { inputFile } from './input-file.ts'
import { written } from './interrupt.ts'
import { checkTarget, writeWhole } from './output-file.ts'
import { createProgress } from './progress.ts'
import { styleOf } from './terminal.ts'

const help = `
FILE is what sigframe run --output wrote on a host, what sigframe vm or sigframe
matrix wrote, or what this wrote; its content says which. A folder stands for
all *.json in it and in its folders, - for standard input. How the files came
here does not matter.

A host is called as its file, without .json; where several files are called the
same, as the folders that tell them apart; and as the part of the path that was
expected, if one was. Results that are there twice are taken once; different
ones of one name stay apart: host, host (2).

A host on which nothing ran is an error, and so is one that was expected and is
not there, and a file that cannot be read; the others are merged all the same.
--expect takes many names: it stands behind FILE.

Exit codes: 0 every host ran and passed; 1 a host failed; 64 wrong usage, or a
file that does not exist; 70 nothing ran on a host, or it is missing, or its
file cannot be read, or it says itself that sigframe is broken. 70 outranks 1.

Examples:
  sigframe merge host-a.json host-b.json -o all.json
  sigframe merge results --expect host-a host-b -o all.json
  ssh host-b sigframe run --json | sigframe merge host-a.json - --json
  sigframe merge all.json late.json -o all.json
`

interface MergeFlags {
  readonly output?: string
  readonly expect?: readonly string[]
  readonly expectFile?: string
  readonly json?: true
}

const mostNames = 10_000
const largestNames = 1 << 20

const namesIn = async (file: string): Promise<readonly string[]> => {
  const { readText } = await import('../report/checked-file.ts')
  const kind = {
    noun: 'list of names',
    createError: (message: string) => new UsageError(message),
    largest: largestNames,
    longestAt: () => 0,
  }
  const names = readText(kind, inputFile(file))
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
  if (names.length === 0) throw new UsageError(`--expect-file ${file} names no host`)
  if (names.length > mostNames)
    throw new UsageError(`--expect-file ${file} names ${names.length} hosts, must be at most ${mostNames}`)
  return names
}

/** Options that take many values take what stands behind them, too. */
const checkNames = (names: readonly string[]): readonly string[] => {
  for (const name of names)
    if (/\.json$/i.test(name) && existsSync(name))
      throw new UsageError(`--expect ${name} is a file: files stand before --expect`)
  return names
}

const print = async (collection: Collection, json: boolean): Promise<void> => {
  if (!json) {
    const { collectionTable } = await import('../report/collection-table.ts')
    await written(collectionTable(collection, styleOf(process.stdout)))
    return
  }
  const { collectionText } = await import('../report/collection.ts')
  for (const piece of collectionText(collection)) {
    // A reader that has seen enough.
    if (process.stdout.destroyed) return
    await written(piece)
  }
}

const merge = async (files: readonly string[], flags: MergeFlags): Promise<void> => {
  const target = flags.output === undefined ? null : checkTarget(flags.output)
  const expected = [
    ...checkNames(flags.expect ?? []),
    ...(flags.expectFile === undefined ? [] : await namesIn(flags.expectFile)),
  ]
  const [{ collect }, { collectionExitCode }] = await Promise.all([
    import('../merge/collect.ts'),
    import('../merge/outcome.ts'),
  ])
  const progress = createProgress()
  let collection: Collection
  try {
    collection = await collect(files, {
      expected,
      onFile: (file, done, all) => progress.show(() => `${done} of ${all} files; ${file}`),
    })
  } finally {
    progress.end()
  }
  try {
    if (target !== null) {
      const { collectionText } = await import('../report/collection.ts')
      await writeWhole(target, collectionText(collection))
    }
  } finally {
    await print(collection, flags.json === true)
  }
  process.exitCode = collectionExitCode(collection)
}

export const addMerge = (program: Command): void => {
  program
    .command('merge')
    .summary('results of any number of hosts in one')
    .description('Merges the results of any number of hosts, and tells on which of them nothing ran.')
    .argument('<file...>', 'results, or folders of them')
    .option('-o, --output <file>', 'write what was merged there (json)')
    .option('--expect <name...>', 'hosts that must be there: one that is not is an error')
    .option('--expect-file <file>', 'the same, a name in each line')
    .option('--json', 'for machines: print what was merged, as --output writes it')
    .addHelpText('after', help)
    .action(merge)
}
