/**
 * Looks through all the memory in a core file for MAGIC1. The XSAVE area lies at a multiple of 64, so only one word of
 * 16 can be it: the others are never looked at.
 */
import { hex } from '../errors.ts'
import { frameFields, magic1, magic2Size } from '../frame/format.ts'
import { legacySize, minXsaveSize } from '../xstate/layout.ts'
import { candidateAt, copyFrame, type FoundFrame, type Judged, judge, mostXstateSize } from './frames.ts'
import { headReach, type View } from './head.ts'
import type { CoreMachine, Segment } from './header.ts'
import type { Memory } from './memory.ts'
import type { ByteSource } from './source.ts'
import { bufferSize, piecesOf, type Sight, sightsOf } from './windows.ts'
import { plural } from './words.ts'

export interface ScanOptions {
  readonly signal?: AbortSignal
  /** Told how many bytes of the segments were looked at, and how many there are. */
  readonly onProgress?: (bytesDone: number, bytesTotal: number) => void
}

export interface Found {
  /** In the order of the file. */
  readonly frames: readonly FoundFrame[]
  readonly gaps: readonly string[]
}

/** What is searched. */
export interface Searched {
  readonly source: ByteSource
  readonly segments: readonly Segment[]
  readonly memory: Memory
  readonly machine: CoreMachine
  /** Of the XSAVE area, as the file's layout says; 0 where it says nothing. */
  readonly layoutSize: number
}

export const mostFrames = 1 << 14
/** Bytes of frames that are kept. */
const mostKept = 64 << 20
/** Frames that lie across segments are read one by one. */
const mostAcross = 1 << 14

const alignment = 64
const stride = alignment / 4
const magicAt = frameFields['sw.magic1'].at
/** No frame's bytes reach farther from its MAGIC1. */
const margins = { below: headReach + magicAt, above: mostXstateSize + magic2Size }

/** The index of a byte that the buffer of this sight has, or would have, as an address. */
const addressOf = ({ piece, base }: Sight, index: number): bigint =>
  piece.address + BigInt(base + index - piece.offset)

/** The indices of fpstates whose MAGIC1 lies in what this sight is to look at. */
const hitsOf = (words: Int32Array, { from, to }: Sight): number[] => {
  const hits: number[] = []
  const start = from + ((magicAt - from) & (alignment - 1))
  const end = (to - 3) / 4
  for (let index = start / 4; index < end; index += stride)
    if (words[index] === magic1) hits.push(index * 4 - magicAt)
  return hits
}

/** What was found so far: bounded, and what was left out is counted. */
const createCollection = (source: ByteSource) => {
  const frames: FoundFrame[] = []
  const mostBytes = Math.min(mostKept, source.size)
  let kept = 0
  let isFull = false
  let unseen = 0
  let bare = 0
  let firstBare = 0n
  return {
    frames,
    /** Whether there is room for more; what is not looked at for its lack is counted. */
    hasRoom: (): boolean => {
      if (isFull) unseen++
      return !isFull
    },
    keep: (judged: Judged, offset: number): void => {
      isFull = frames.length >= mostFrames || kept + judged.size > mostBytes
      if (isFull) {
        unseen++
        return
      }
      kept += judged.size
      frames.push(copyFrame(judged, offset))
    },
    /** MAGIC1, and no frame. */
    pass: (address: bigint): void => {
      if (bare++ === 0) firstBare = address < 0n ? 0n : address
    },
    gaps: (): string[] => {
      const gaps: string[] = []
      if (unseen > 0)
        gaps.push(
          `MAGIC1 stands at ${plural(unseen, 'more place')} that were not looked at: ` +
            `no more than ${plural(frames.length, 'frame')} are kept of this file`,
        )
      if (bare > 0)
        gaps.push(
          `MAGIC1 stands at ${plural(bare, 'place')} with neither MAGIC2 nor a frame’s head, first for an fpstate ` +
            `at ${hex(firstBare)}: no frames`,
        )
      return gaps
    },
  }
}

/** Looks at fpstates one by one, by the bytes of one segment or of several. */
const createJudge = (
  { source, memory, machine, layoutSize }: Searched,
  { words, data }: Pick<View, 'words' | 'data'>,
) => {
  let across = 0

  /** An fpstate with what lies in other segments. */
  const wider = async (address: bigint, above: number): Promise<View> => {
    const { bytes, low, high } = await memory.around(address, headReach, Math.min(above, source.size))
    const { buffer } = bytes
    const whole = new Int32Array(buffer, 0, buffer.byteLength >>> 2)
    return { data: new DataView(buffer), words: whole, at: headReach, low, high, address }
  }

  const judgeAcross = async (address: bigint): Promise<Judged | null> => {
    if (++across > mostAcross) return null
    const some = await wider(address, minXsaveSize)
    if (some.high < some.at + legacySize) return null
    const { reach } = candidateAt(some, machine, layoutSize)
    const view = reach <= some.high - some.at ? some : await wider(address, reach)
    return judge(view, candidateAt(view, machine, layoutSize))
  }

  /** By what the window has of it; undefined where other segments have the rest. */
  const judgeHere = (sight: Sight, at: number, address: bigint): Judged | null | undefined => {
    const { piece, low, high } = sight
    const view: View = { data, words, at, low, high, address }
    const candidate = at >= low && at + legacySize <= high ? candidateAt(view, machine, layoutSize) : null
    if (at - headReach < low && memory.place(piece.address - 1n) !== null) return undefined
    const reach = candidate?.reach ?? minXsaveSize
    if (at + reach > high && memory.place(addressOf(sight, high)) !== null) return undefined
    return candidate === null ? null : judge(view, candidate)
  }

  return {
    judge: async (sight: Sight, at: number): Promise<Judged | null> => {
      const address = addressOf(sight, at)
      const here = address < 0n ? null : judgeHere(sight, at, address)
      return here === undefined ? judgeAcross(address) : here
    },
    gaps: (): string[] =>
      across > mostAcross
        ? [`${plural(across - mostAcross, 'place')} at the borders of segments were not looked at`]
        : [],
  }
}

/** All frames of a file. @throws the signal's reason; CoreFileError when the file can no longer be read */
export const search = async (searched: Searched, { signal, onProgress }: ScanOptions): Promise<Found> => {
  const { source, segments, memory } = searched
  const { pieces, overlapping } = piecesOf(segments)
  const total = pieces.reduce((sum, { offset, end }) => sum + (end - offset), 0)
  const buffer = new ArrayBuffer(bufferSize(source))
  const words = new Int32Array(buffer, 0, buffer.byteLength >>> 2)
  const collection = createCollection(source)
  const judging = createJudge(searched, { words, data: new DataView(buffer) })

  const look = async (sight: Sight, at: number): Promise<void> => {
    const address = addressOf(sight, at)
    const judged = await judging.judge(sight, at)
    // Where it begins in another segment, its place in the file is another, too.
    const offset = at >= sight.low ? sight.base + at : memory.place(address)?.offset
    if (judged !== null && offset !== undefined) collection.keep(judged, offset)
    else collection.pass(address)
  }

  let done = 0
  for await (const sights of sightsOf(source, pieces, buffer, margins)) {
    signal?.throwIfAborted()
    for (const sight of sights) {
      for (const at of hitsOf(words, sight)) if (collection.hasRoom()) await look(sight, at)
      done += Math.max(0, sight.to - sight.from)
    }
    onProgress?.(done, total)
  }

  const gaps: string[] = []
  if (done < total)
    gaps.push(`the file has become shorter: ${plural(total - done, 'byte')} were not there to be read`)
  if (overlapping > 0)
    gaps.push(`${plural(overlapping, 'segment')} that others overlap: those bytes were looked at once`)
  return { frames: collection.frames, gaps: [...gaps, ...collection.gaps(), ...judging.gaps()] }
}
