/** The `criu` program: where it is, and what it says. */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Debian has it where only root's PATH leads. */
const besidePath = ['/usr/local/sbin', '/usr/sbin', '/sbin']

const isExecutable = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The first on PATH, or where distributions put it; null where it is not installed. */
export const findCriu = (path = process.env.PATH ?? ''): string | null =>
  [...path.split(delimiter), ...besidePath]
    .filter(folder => folder !== '')
    .map(folder => join(folder, 'criu'))
    .find(isExecutable) ?? null

/** What a run of it gave. */
export interface CriuRun {
  readonly succeeded: boolean
  /** Its own words where it did not, in one line. */
  readonly words: string
  /** All that it logged. */
  readonly log: string
}

const mostWords = 3

const longestWords = 300

/** The last of its error lines that differ, without the places in its source; where it has none, the first it says without a time. */
export const criuWords = (text: string): string => {
  const errors = [...text.matchAll(/Error \([^)]*\): *(.*\S)/g)].map(([, words]) => words as string)
  const [first = ''] = text.split('\n').filter(line => !/^\s*$|^\(\d/.test(line))
  const words = errors.length > 0 ? [...new Set(errors)].slice(-mostWords).join('; ') : first.trim()
  return words.slice(0, longestWords)
}

const readLog = (file: string): string => {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

const timeoutMs = 60_000

/**
 * Runs it, and waits; after a minute it is killed.
 * @param args what it does, and its options
 * @param folder where its images and its log go
 */
export const runCriu = (criu: string, args: readonly string[], folder: string): CriuRun => {
  const name = `${args[0]}.log`
  const done = spawnSync(criu, [...args, '-D', folder, '-o', name, '-v4'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  })
  const log = readLog(join(folder, name))
  if (done.error !== undefined) return { succeeded: false, words: done.error.message, log }
  const said = [done.stderr, done.stdout].map(bytes => bytes.toString('latin1'))
  const words = done.status === 0 ? '' : criuWords([...said, log].join('\n'))
  const end = done.signal ?? `exit code ${done.status}`
  return { succeeded: done.status === 0, words: words === '' ? end : words, log }
}
