/** A file that is written whole or not at all. */
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { ExplainedError, UsageError } from './errors.ts'

/** Where a file goes: checked before there is anything to write. */
export interface Target {
  /** As the user calls it. */
  readonly name: string
  /** Where it really lies: links stay links. */
  readonly path: string
  /** The mode of the file that is replaced; null for one that is new. */
  readonly mode: number | null
  /** A pipe or a device: nothing that could be replaced. */
  readonly inPlace: boolean
}

const because = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*)?$/s, '')

const existing = (path: string) => statSync(path, { throwIfNoEntry: false })

/** @throws UsageError where no file can be written; `option` is how it calls what asked for it */
export const checkTarget = (name: string, option = '--output'): Target => {
  if (name === '') throw new UsageError(`${option} needs the name of a file`)
  try {
    const found = existing(name)
    if (found?.isDirectory()) throw new UsageError(`${option} ${name} is a folder: name a file in it`)
    if (found !== undefined && !found.isFile()) return { name, path: name, mode: null, inPlace: true }
    const path = found === undefined ? name : realpathSync(name)
    accessSync(dirname(path), constants.W_OK | constants.X_OK)
    return { name, path, mode: found === undefined ? null : found.mode & 0o7777, inPlace: false }
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${option} ${name} cannot be written: ${because(error)}`)
  }
}

/** @throws UsageError where the name is of no folder that files can be written to */
export const checkFolder = (name: string, option: string): string => {
  if (name === '') throw new UsageError(`${option} needs the name of a folder`)
  try {
    if (existing(name)?.isDirectory() !== true) throw new UsageError(`${option} ${name} is no folder`)
    accessSync(name, constants.W_OK | constants.X_OK)
    return name
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${option} ${name} cannot be written to: ${because(error)}`)
  }
}

const syncFolder = (folder: string): void => {
  const descriptor = openSync(folder, 'r')
  try {
    fsyncSync(descriptor)
  } catch {
    // Some file systems cannot; the file itself is safe.
  } finally {
    closeSync(descriptor)
  }
}

/** What is written: a text, or the pieces of one that is too long to be one. */
export type Text = string | Iterable<string>

const writePieces = (descriptor: number, text: Text): void => {
  for (const piece of typeof text === 'string' ? [text] : text) writeFileSync(descriptor, piece)
}

const writeInPlace = (path: string, text: Text): void => {
  const descriptor = openSync(path, 'w')
  try {
    writePieces(descriptor, text)
  } finally {
    closeSync(descriptor)
  }
}

const replace = ({ path, mode }: Target, text: Text): void => {
  const folder = dirname(path)
  const temporary = join(folder, `.sigframe-${process.pid}-${randomBytes(6).toString('hex')}.tmp`)
  const descriptor = openSync(temporary, 'wx', 0o666)
  try {
    try {
      writePieces(descriptor, text)
      if (mode !== null) fchmodSync(descriptor, mode)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  syncFolder(folder)
}

const ending = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))

/** Does the work with the signals that would end the process held back; then it ends of them as it would have. */
const uninterrupted = async (work: () => void): Promise<void> => {
  let caught: NodeJS.Signals | undefined
  const hold = (signal: NodeJS.Signals): void => {
    caught ??= signal
  }
  for (const signal of ending) process.on(signal, hold)
  try {
    work()
  } finally {
    // A signal that came meanwhile is told of in the loop's next turn.
    await turn()
    await turn()
    for (const signal of ending) process.removeListener(signal, hold)
    if (caught !== undefined) process.kill(process.pid, caught)
  }
}

/** Writes all of the text, or leaves what was there. @throws ExplainedError */
export const writeWhole = async (target: Target, text: Text): Promise<void> => {
  try {
    if (target.inPlace) writeInPlace(target.path, text)
    else await uninterrupted(() => replace(target, text))
  } catch (error) {
    throw new ExplainedError(`${target.name} was not written: ${because(error)}`)
  }
}
