/**
 * Goes through the bytes of all segments once, in the file's order, in windows of one buffer. A window overlaps the one
 * before it by as much as a frame may take: whatever begins in one is whole in one of them.
 */
import type { Segment } from './header.ts'
import type { ByteSource } from './source.ts'

/** Consecutive bytes of memory that lie so in the file. */
export interface Piece {
  readonly offset: number
  readonly end: number
  readonly address: bigint
  /** Added to an offset in the file, the address modulo 64. */
  readonly phase: number
}

/** A window's view of a piece: indices of the buffer, which modulo 64 are what addresses are. */
export interface Sight {
  readonly piece: Piece
  /** Bytes of the piece that are in the buffer: from here … */
  readonly low: number
  /** … to there. */
  readonly high: number
  /** What no other window looks at: from here … */
  readonly from: number
  /** … to there. */
  readonly to: number
  /** Added to an index, the offset in the file. */
  readonly base: number
}

/** Bytes that are read at a time: enough for few calls, and little enough to stay in a cache. */
export const windowSize = 1 << 20
const alignment = 64
/** Headers between segments, and padding: read along with them. */
const nearby = 1 << 16

/** The file's bytes, each once: of segments that claim the same, the first has them. */
export const piecesOf = (segments: readonly Segment[]): { pieces: Piece[]; overlapping: number } => {
  const pieces: Piece[] = []
  let overlapping = 0
  let done = 0
  for (const { offset, size, address } of segments.toSorted((a, b) => a.offset - b.offset)) {
    if (size === 0) continue
    const start = Math.max(offset, done)
    if (start > offset) overlapping++
    if (offset + size <= start) continue
    const from = address + BigInt(start - offset)
    pieces.push({
      offset: start,
      end: offset + size,
      address: from,
      phase: Number(BigInt.asUintN(6, from - BigInt(start))),
    })
    done = offset + size
  }
  return { pieces, overlapping }
}

/** How far around what it looks at a window must see. */
export interface Margins {
  readonly below: number
  readonly above: number
}

/**
 * One window after the other: what it shows of each piece, good until the next. Ends early where the file does.
 * @param buffer holds the window; of `bufferSize` bytes
 */
export async function* sightsOf(
  source: ByteSource,
  pieces: readonly Piece[],
  buffer: ArrayBuffer,
  { below, above }: Margins,
): AsyncGenerator<Sight[]> {
  const room = buffer.byteLength - alignment
  // The first piece that is not done, and from where on.
  let at = 0
  let from = pieces[0]?.offset ?? 0
  while (at < pieces.length) {
    const first = pieces[at] as Piece
    const start = Math.max(first.offset, from - below)
    let last = at
    for (let next = pieces[last + 1]; next !== undefined; next = pieces[last + 1]) {
      const end = (pieces[last] as Piece).end
      if (next.phase !== first.phase || next.offset - end > nearby || next.offset >= start + room) break
      last++
    }
    const end = Math.min((pieces[last] as Piece).end, start + room)
    const shift = (start + first.phase) % alignment
    const got = await source.read(new Uint8Array(buffer, shift, end - start), start)
    const base = start - shift
    const known = start + got
    const sights: Sight[] = []
    for (; at <= last; at++) {
      const piece = pieces[at] as Piece
      const whole = piece.end <= end
      const begin = Math.max(piece.offset, from)
      const to = whole ? piece.end : Math.max(begin, end - above)
      sights.push({
        piece,
        low: Math.max(piece.offset, start) - base,
        high: Math.max(Math.min(piece.end, known), start) - base,
        from: begin - base,
        to: Math.max(Math.min(to, known), start) - base,
        base,
      })
      from = to
      if (!whole) break
    }
    yield sights
    if (got < end - start) return
  }
}

/** Bytes of the buffer for a file. */
export const bufferSize = (source: ByteSource): number =>
  Math.min(windowSize, Math.ceil(source.size / alignment) * alignment) + alignment
