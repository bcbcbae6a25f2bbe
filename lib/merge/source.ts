/** Where results come from: files, folders of them, standard input. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { becauseOf } from '../report/file-chunks.ts'
import { oneLine } from '../report/text.ts'

/** What cannot be merged at all; the message is for the user. */
export class MergeError extends Error {
  override name = 'MergeError'
}

export const standardInput = '-'

const mostFiles = 10_000
const deepestFolder = 16

const shown = (path: string): string => oneLine(path, 500)

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() === true

/** The *.json files of a folder and of those in it, sorted; links to folders are not followed, nothing hidden is read. */
const filesIn = (folder: string, depth = 0): readonly string[] => {
  if (depth > deepestFolder)
    throw new MergeError(`${shown(folder)} lies too deep, must be at most ${deepestFolder} folders down`)
  const entries = readdirSync(folder, { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries.flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return filesIn(path, depth + 1)
    return /\.json$/i.test(entry.name) && isFile(path) ? [path] : []
  })
}

const filesOf = (path: string): readonly string[] => {
  if (path === standardInput) return [path]
  try {
    return statSync(path).isDirectory() ? filesIn(path) : [path]
  } catch (error) {
    throw error instanceof MergeError
      ? error
      : new MergeError(`${shown(path)} cannot be read (${becauseOf(error)})`)
  }
}

/**
 * The files that are meant: those in a folder for a folder. One that does not exist is a mistake of whoever names it,
 * and ends all; what exists and cannot be read is told of with the results.
 * @throws MergeError
 */
export const expandFiles = (files: readonly string[]): readonly string[] => {
  const found = files.flatMap(filesOf)
  if (found.filter(file => file === standardInput).length > 1)
    throw new MergeError('- is given twice: standard input can be read once')
  if (found.length > mostFiles)
    throw new MergeError(`there are ${found.length} files, must be at most ${mostFiles}`)
  return found
}
