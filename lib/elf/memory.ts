/** The memory of the process, as far as the file has it. */
import type { Segment } from './header.ts'
import type { ByteSource } from './source.ts'

/** Mappings side by side with the same permissions: what a stack lies in. */
export interface Region {
  readonly start: bigint
  readonly end: bigint
}

export interface Memory {
  /** Where the file has the byte at an address; null where it has not. */
  readonly place: (address: bigint) => Place | null
  /** What the file has without a hole around an address: no more than so many bytes below it and from it on. */
  readonly around: (address: bigint, below: number, above: number) => Promise<Around>
  /** The number of the region that the address lies in; -1 where it lies in none. */
  readonly regionAt: (address: bigint) => number
  readonly regions: readonly Region[]
}

export interface Place {
  readonly offset: number
  /** Bytes of the segment before it. */
  readonly before: number
  /** Bytes of the segment from it on. */
  readonly size: number
}

export interface Around {
  /** A buffer of its own. The address is at `below`, as asked for. */
  readonly bytes: Uint8Array
  /** What of it was read: from here … */
  readonly low: number
  /** … to there. */
  readonly high: number
}

/** The last of those in order that starts at or below the address. */
const lastBelow = <T>(ordered: readonly T[], startOf: (one: T) => bigint, address: bigint): number => {
  let low = 0
  let high = ordered.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (startOf(ordered[middle] as T) <= address) low = middle + 1
    else high = middle
  }
  return low - 1
}

const endOf = ({ address, memory }: Segment): bigint => address + memory

// A guard page has no permissions, and lies between stacks: they stay apart.
const regionsOf = (ordered: readonly Segment[]): Region[] => {
  const regions: { start: bigint; end: bigint; flags: number }[] = []
  for (const segment of ordered) {
    const last = regions.at(-1)
    if (last !== undefined && segment.address <= last.end && segment.flags === last.flags) {
      if (endOf(segment) > last.end) last.end = endOf(segment)
    } else {
      regions.push({ start: segment.address, end: endOf(segment), flags: segment.flags })
    }
  }
  return regions
}

const inOrder = (a: Segment, b: Segment): number => {
  if (a.address !== b.address) return a.address < b.address ? -1 : 1
  return a.offset - b.offset
}

/** Of segments that claim the same memory, the one that starts last has it. */
export const memoryOf = (source: ByteSource, segments: readonly Segment[]): Memory => {
  const ordered = segments.toSorted(inOrder)
  const regions = regionsOf(ordered)
  const place = (address: bigint): Place | null => {
    const segment = ordered[lastBelow(ordered, one => one.address, address)]
    if (segment === undefined || address - segment.address >= segment.size) return null
    const before = Number(address - segment.address)
    return { offset: segment.offset + before, before, size: segment.size - before }
  }
  const readUp = async (into: Uint8Array, address: bigint): Promise<number> => {
    for (let done = 0; done < into.length; ) {
      const found = place(address + BigInt(done))
      if (found === null) return done
      const wanted = Math.min(found.size, into.length - done)
      const got = await source.read(into.subarray(done, done + wanted), found.offset)
      done += got
      if (got < wanted) return done
    }
    return into.length
  }
  const readDown = async (into: Uint8Array, address: bigint): Promise<number> => {
    for (let left = into.length; left > 0; ) {
      const last = place(address - BigInt(into.length - left) - 1n)
      if (last === null) return left
      const wanted = Math.min(last.before + 1, left)
      const got = await source.read(into.subarray(left - wanted, left), last.offset + 1 - wanted)
      if (got < wanted) return left
      left -= wanted
    }
    return 0
  }
  const around = async (address: bigint, below: number, above: number): Promise<Around> => {
    const bytes = new Uint8Array(below + above)
    const low = await readDown(bytes.subarray(0, below), address)
    return { bytes, low, high: below + (await readUp(bytes.subarray(below), address)) }
  }
  const regionAt = (address: bigint): number => {
    const at = lastBelow(regions, region => region.start, address)
    const region = regions[at]
    return region !== undefined && address < region.end ? at : -1
  }
  return { place, around, regionAt, regions }
}
