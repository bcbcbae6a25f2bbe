/** What lint is given: a frame file, an ELF core file, or raw bytes. Nothing in a file is trusted. */
import { type BigIntStats, closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { CoreScan, FrameState } from '../elf/core.ts'
import type { ScanOptions } from '../elf/scan.ts'
import type { Abi } from '../frame/abi.ts'
import { largestFrame } from '../frame/format.ts'
import { fsaveSize } from '../frame/fsave.ts'
import type { LintedFrame } from '../frame/lint/finding.ts'
import { cutFrame, findAreas, mostAreas } from '../frame/lint/raw.ts'
import { type Layout, legacySize } from '../xstate/layout.ts'
import { readFrameFile } from './frame-file.ts'
import { oneLine, plural } from './text.ts'

/** A file of which no frame can be had; the message is for the user. */
export class LintInputError extends Error {
  override name = 'LintInputError'
}

/** One frame, and where it lay. */
export interface InputFrame {
  readonly frame: LintedFrame
  /** Of its XSAVE area in the file, in bytes; null in a frame file. */
  readonly offset: number | null
  readonly state: FrameState
  readonly pid: number | null
}

const inputKinds = ['frame file', 'core file', 'raw bytes'] as const
export type InputKind = (typeof inputKinds)[number]

export interface LintInput {
  readonly file: string
  readonly kind: InputKind
  /** Of the CPU, as the file says; null where it does not. */
  readonly layout: Layout | null
  readonly frames: readonly InputFrame[]
  /** What could not be looked at, and what else there is to say, in one line each. */
  readonly notes: readonly string[]
}

/** Where in raw bytes to look. */
export interface RawOptions {
  /** Told by the sw bytes if left out. */
  readonly abi?: Abi | undefined
  /** Of the XSAVE area; all of the file is searched for MAGIC1 if left out. */
  readonly offset?: number | undefined
  /** No more than so many bytes, from the offset on. */
  readonly length?: number | undefined
}

/** Bytes that are searched at once. */
export const mostSearched = 64 << 20

const reasonOf = (error: unknown): string => (error as Error).message.replace(/, \w+( '.*')?$/s, '')

const refused = (file: string, problem: string): LintInputError =>
  new LintInputError(`${oneLine(file)} ${problem}`)

/** A file that is open. */
interface Opened {
  readonly file: string
  readonly descriptor: number
  readonly status: BigIntStats
}

const reading = <T>(file: string, use: (opened: Opened) => T): T => {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'r')
    return use({ file, descriptor, status: fstatSync(descriptor, { bigint: true }) })
  } catch (error) {
    if (error instanceof LintInputError || !(error as NodeJS.ErrnoException).code) throw error
    throw refused(file, `cannot be read (${reasonOf(error)})`)
  } finally {
    if (descriptor !== undefined) closeSync(descriptor)
  }
}

/** From a place on (from where it stands, if that is null), as many bytes as there are, and no more than asked for. */
const readAll = ({ descriptor }: Opened, from: number | null, most: number, step: number): Buffer => {
  const chunks: Buffer[] = []
  let length = 0
  while (length < most) {
    const chunk = Buffer.allocUnsafe(Math.min(step, most - length))
    const read = readSync(descriptor, chunk, 0, chunk.length, from === null ? null : from + length)
    if (read === 0) break
    chunks.push(chunk.subarray(0, read))
    length += read
  }
  return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)
}

const pipeStep = 1 << 20

/** The bytes from one place to another; what cannot be positioned in is read from its start. */
const readRange = (opened: Opened, from: number, most: number): Buffer => {
  const { file, status } = opened
  // Files of the kernel's have no size.
  if (status.isFile() && status.size > 0n) {
    const left = Math.max(0, Number(status.size) - from)
    return readAll(opened, from, Math.min(most, left), Math.max(1, left))
  }
  if (status.isFile()) return readAll(opened, from, most, pipeStep)
  if (from + most > mostSearched + 1)
    throw refused(
      file,
      `is no regular file: of it no more than ${mostSearched} bytes are read, but ${from + most} are asked for`,
    )
  return readAll(opened, null, from + most, pipeStep).subarray(from)
}

const cutAt = (opened: Opened, offset: number, { abi, length = largestFrame }: RawOptions): InputFrame => {
  const from = Math.max(0, offset - fsaveSize)
  const bytes = readRange(opened, from, offset - from + Math.min(length, largestFrame))
  const at = offset - from
  if (bytes.length < at + legacySize)
    throw refused(
      opened.file,
      `has ${Math.max(0, bytes.length - at)} bytes from offset ${offset} on, must have at least ${legacySize}: the legacy region of a frame`,
    )
  const told = abi ?? findAreas(bytes.subarray(at)).areas.find(area => area.offset === 0)?.abi ?? 'x86_64'
  const frame = cutFrame(bytes, { abi: told, offset: at })
  return { frame, offset, state: 'unknown', pid: null }
}

const searchRaw = (
  opened: Opened,
  { abi, length }: RawOptions,
): Omit<LintInput, 'file' | 'kind' | 'layout'> => {
  const bytes = readRange(opened, 0, Math.min(length ?? mostSearched + 1, mostSearched + 1))
  if (bytes.length > mostSearched)
    throw refused(
      opened.file,
      `has more than ${mostSearched} bytes, the most that is searched: give --offset, or --length`,
    )
  const { areas, others } = findAreas(bytes)
  return {
    frames: areas.map(area => ({
      frame: cutFrame(bytes, { abi: abi ?? area.abi, offset: area.offset }),
      offset: area.offset,
      state: 'unknown',
      pid: null,
    })),
    notes: [
      ...(areas.length === mostAreas ? [`no more than ${mostAreas} frames are told of`] : []),
      ...(others > 0 ? [`${plural(others, 'MAGIC1')} besides, with nothing of a frame around`] : []),
    ],
  }
}

/**
 * Frames in raw bytes: the one at an offset, or all that MAGIC1 heads. No more is read than is looked at.
 * @throws LintInputError
 */
export const readRaw = (file: string, options: RawOptions): LintInput =>
  reading(file, opened => {
    if (opened.status.isDirectory()) throw refused(file, 'is a folder')
    const { offset } = options
    const found =
      offset === undefined
        ? searchRaw(opened, options)
        : { frames: [cutAt(opened, offset, options)], notes: [] }
    return { file, kind: 'raw bytes', layout: null, ...found }
  })

const elfMagic = '\x7fELF'

/** What a file begins with. A pipe is not asked: what is read of it is gone. */
const beginning = (file: string): string | null =>
  reading(file, opened => {
    if (opened.status.isDirectory()) throw refused(file, 'is a folder')
    return opened.status.isFile() ? readAll(opened, 0, 64, 64).toString('latin1') : null
  })

const fromCore = (file: string, { layout, threads, frames, gaps }: CoreScan): LintInput => ({
  file,
  kind: 'core file',
  layout,
  frames: frames.map(({ offset, state, pid, ...frame }) => ({ frame, offset, state, pid })),
  notes: [plural(threads.length, 'thread'), ...gaps],
})

/**
 * The frames of a file that says itself what it is.
 * @throws LintInputError, FrameFileError, CoreFileError
 */
export const readFrames = async (file: string, options: ScanOptions = {}): Promise<LintInput> => {
  const start = beginning(file)
  if (start?.startsWith(elfMagic)) {
    const { scanCore } = await import('../elf/scan.ts')
    return fromCore(file, await scanCore(file, options))
  }
  if (start !== null && !/^\s*[{[]/.test(start) && start.trim() !== '')
    throw refused(file, 'is neither a frame file nor an ELF core file: for raw bytes give --raw')
  const { layout, abi, address, head, fsave, fpstate } = await readFrameFile(file)
  return {
    file,
    kind: 'frame file',
    layout,
    frames: [{ frame: { abi, address, head, fsave, fpstate }, offset: null, state: 'unknown', pid: null }],
    notes: [],
  }
}
