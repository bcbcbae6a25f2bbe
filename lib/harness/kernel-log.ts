/**
 * What the kernel says while it is probed: its log from boot on, read record by record, and its taint. What is a
 * complaint of it, complaints.ts tells. /dev/kmsg is described in the kernel's Documentation/ABI/testing/dev-kmsg.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'

/** One record: a line mostly, several where one printk had several. */
export interface LogRecord {
  /** 0 is the kernel. What user space writes to /dev/kmsg never is. */
  readonly facility: number
  /** 0 (emergency) to 7 (debug). */
  readonly level: number
  readonly seq: number
  /** Microseconds since boot. */
  readonly usec: number
  /** Who printed it, `T77` (task) or `C1` (CPU); null where the kernel does not say (CONFIG_PRINTK_CALLER). */
  readonly caller: string | null
  readonly text: string
}

/** What one reading gave: all that was new in the log. */
export interface LogReading {
  readonly records: readonly LogRecord[]
  /** So many more were there: overwritten before they were read, or too many to keep. */
  readonly lost: number
  /** Whether the end of the log was reached. */
  readonly ended: boolean
}

/** An opened log. */
export interface LogSource {
  /** One record into the buffer; its length. @throws EAGAIN at the end, EPIPE where records were overwritten */
  read(into: Uint8Array): number
  close(): void
}

/** What of the kernel is watched. All may throw; why is told. */
export interface KernelSources {
  readonly openLog: () => LogSource
  readonly readTaint: () => number
  /** Has warnings that print once a boot print again; null leaves them as they are. */
  readonly clearOnce: (() => void) | null
}

/** What was seen of the kernel around a run; a string says why something was not. */
export interface Watched {
  readonly log: { readonly before: LogReading; readonly during: LogReading } | string
  readonly onceCleared: boolean
  readonly taintBefore: number | string
  readonly taintAfter: number | string
}

/** The kernel being watched: `end` once, or `close` where there is nothing to tell. */
export interface Watch {
  end(): Watched
  close(): void
}

const logFile = '/dev/kmsg'
const logDevice = 0x10b // major 1, minor 11
const taintFile = '/proc/sys/kernel/tainted'
const onceFile = '/sys/kernel/debug/clear_warn_once'

/** Of one reading. A kernel that prints without end must not have us read without end, nor fill our memory. */
export const readingBounds = { reads: 500_000, characters: 16 << 20 }

// CONSOLE_EXT_LOG_MAX, PRINTKRB_RECORD_MAX of newer kernels: no record is larger than 8 KiB.
const largestRecord = 16 << 10

const unescaped: Readonly<Record<string, string>> = { '0a': '\n', '09': '\t', '5c': '\\' }

/** `4,1234,5678,-,caller=T77;text`, then lines of a dictionary, which are not of the text. Null for anything else. */
export const parseRecord = (raw: string): LogRecord | null => {
  const found = /^(\d+),(\d+),(\d+),([^;\n]*);([^\n]*)/.exec(raw)
  if (found === null) return null
  const [, priority, seq, usec, rest = '', text = ''] = found
  return {
    facility: Math.floor(Number(priority) / 8),
    level: Number(priority) % 8,
    seq: Number(seq),
    usec: Number(usec),
    caller: /,caller=(\w+)/.exec(rest)?.[1] ?? null,
    // What does not print stays escaped.
    text: text.replace(/\\x(0a|09|5c)/g, (_, code: string) => unescaped[code] ?? ''),
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** One record, or why there is none. */
const readOne = (source: LogSource, buffer: Buffer): LogRecord | null | 'end' => {
  try {
    const length = source.read(buffer)
    if (length === 0) throw new Error('it ends as a file does')
    return parseRecord(buffer.toString('latin1', 0, length))
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return 'end'
    // Overwritten, or larger than any: the next read goes on behind it, and its number is missing.
    if (codeOf(error) === 'EPIPE' || codeOf(error) === 'EINVAL') return null
    throw error
  }
}

/** Each call reads what is new since the one before; the first all that is there. */
export const createReader = (source: LogSource, bounds = readingBounds): (() => LogReading) => {
  const buffer = Buffer.allocUnsafe(largestRecord)
  let due = 0
  return () => {
    let records: LogRecord[] = []
    let characters = 0
    let lost = 0
    for (let reads = 0; reads < bounds.reads; reads++) {
      const record = readOne(source, buffer)
      if (record === 'end') return { records, lost, ended: true }
      if (record === null) continue
      lost += Math.max(0, record.seq - due)
      due = record.seq + 1
      records.push(record)
      characters += record.text.length
      if (characters > bounds.characters) {
        // As the ring buffer does: the oldest go.
        const kept = records.slice(Math.ceil(records.length / 2))
        lost += records.length - kept.length
        records = kept
        characters = kept.reduce((sum, { text }) => sum + text.length, 0)
      }
    }
    return { records, lost, ended: false }
  }
}

const openLog = (): LogSource => {
  const descriptor = openSync(logFile, constants.O_RDONLY | constants.O_NONBLOCK)
  const { rdev } = fstatSync(descriptor)
  if (rdev !== logDevice) {
    // Containers have a console there, or nothing that speaks: silence would pass for a kernel without complaints.
    closeSync(descriptor)
    throw new Error('it is not the kernel’s log here')
  }
  return { read: into => readSync(descriptor, into), close: () => closeSync(descriptor) }
}

const readNumber = (file: string): number => {
  const text = readFileSync(file, 'latin1')
  const value = Number(text)
  if (text.trim() === '' || !Number.isSafeInteger(value)) throw new Error('it holds no number')
  return value
}

// Opened as it is, never made: where debugfs is not mounted its folder is empty.
const clearOnce = (): void => {
  const descriptor = openSync(onceFile, constants.O_WRONLY)
  try {
    writeSync(descriptor, '1')
  } finally {
    closeSync(descriptor)
  }
}

/** The running kernel. */
export const runningKernel: KernelSources = {
  openLog,
  readTaint: () => readNumber(taintFile),
  clearOnce,
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'it is not there',
  EACCES: 'its mode forbids it (EACCES)',
  EPERM: 'it is not permitted (EPERM): see kernel.dmesg_restrict and CAP_SYSLOG',
}

const whyNot = (file: string, error: unknown): string =>
  `${file} cannot be read: ${reasons[codeOf(error) ?? ''] ?? (error as Error).message}`

const orWhyNot = <T>(file: string, read: () => T): T | string => {
  try {
    return read()
  } catch (error) {
    return whyNot(file, error)
  }
}

const succeeds = (action: () => void): boolean => {
  try {
    action()
    return true
  } catch {
    return false
  }
}

const readerOf = (source: LogSource | string): (() => LogReading | string) => {
  if (typeof source === 'string') return () => source
  const read = createReader(source)
  return () => orWhyNot(logFile, read)
}

const logOf = (before: LogReading | string, during: LogReading | string): Watched['log'] => {
  if (typeof before === 'string') return before
  return typeof during === 'string' ? during : { before, during }
}

/** Begins to watch the kernel. Never throws: what cannot be watched is told at the end. */
export const watchKernel = (sources: KernelSources = runningKernel): Watch => {
  const source = orWhyNot(logFile, sources.openLog)
  const read = readerOf(source)
  const before = read()
  // Only once it is known what was printed before.
  const onceCleared = sources.clearOnce !== null && succeeds(sources.clearOnce)
  const taintBefore = orWhyNot(taintFile, sources.readTaint)
  let open = true
  const close = (): void => {
    if (open && typeof source !== 'string') source.close()
    open = false
  }
  return {
    close,
    end: () => {
      const taintAfter = orWhyNot(taintFile, sources.readTaint)
      const log = logOf(before, read())
      close()
      return { log, onceCleared, taintBefore, taintAfter }
    },
  }
}
