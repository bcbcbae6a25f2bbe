/** How large the regions of the arena must be for a host. Nothing fixed: all sizes come from CPUID leaf 0xD. */
import type { EditLimits } from '../frame/edit.ts'
import { magic2Size } from '../frame/format.ts'
import type { ArenaShape } from '../native-types.ts'
import type { HostCpu } from '../xstate/host.ts'
import { type Layout, legacySize, minXsaveSize } from '../xstate/layout.ts'

const page = 4096
const pages = (bytes: number): number => Math.ceil(bytes / page) * page
const cacheLine = 64
const lines = (bytes: number): number => Math.ceil(bytes / cacheLine) * cacheLine

/** Room above the largest frame of the host, for edits that claim more than the host has. Bytes. */
const slack = 16 * 1024
/** Below the frame: the kernel needs its frame and alignment; the rest is for the host's surprises. */
const below = 32 * 1024
/**
 * Slots of the ring, each with its records; as many requests are handed over at once. More slots would fall out
 * of the second-level cache, fewer would be lost to handshakes (measured with 32 to 1024).
 */
export const ringSlots = 128
/** Images that a request may have of its own: load, poison, that of its sibling, and what a fake frame is built of. */
const imagesOfOne = 4
/** Images in the arena: as many as a full ring can use, and those that are used again and again. */
export const imageSlots = imagesOfOne * ringSlots + 32
/** Bytes for the operations of edits and what they write; when it is full it is filled anew. */
export const editPoolBytes = 2 * 1024 * 1024

/** Bytes before the area of a built fpstate, at the end of which its fsave header lies. */
export const builtPrefix = 128
/** Threads that can switch among one another. */
export const mostThreads = 8
/** Images of one stress request: with what XSAVE makes of each, and two more, they fill the room of those threads. */
export const mostStressImages = mostThreads - 1
/** Bytes for what a stress request asks and is told. */
export const stressRoom = 4096
/** Bytes for the calls of traced requests and their buffers: more would fall out of the second-level cache. */
export const tracedRoom = 1024 * 1024

export interface Geometry {
  /** Bytes of the largest standard-format area of the host, with every component of XCR0. */
  readonly areaBytes: number
  readonly imageBytes: number
  readonly headroom: number
  readonly stackBytes: number
  readonly spareBytes: number
  /** The longest fpstate that can be recorded as sent. */
  readonly longestSent: number
}

/** How one slot's records lie in memory. Dense for the frames of the task, which may be far from the largest. */
export interface RecordPlan {
  readonly written: number
  readonly after: number
  readonly sent: number
  /** An fpstate up to so many bytes goes to `sent`; a longer one to a place for such, elsewhere. */
  readonly sentRoom: number
  readonly slotBytes: number
}

/**
 * @param recordHead bytes between the start of a record and the fpstate in it
 * @param frameBytes of an fpstate as the kernel writes it
 */
export const planRecords = (recordHead: number, frameBytes: number): RecordPlan => {
  const room = lines(frameBytes + cacheLine)
  const after = recordHead + room
  const sent = after + Math.max(room, lines(minXsaveSize))
  return { written: 0, after, sent, sentRoom: room, slotBytes: sent + recordHead + room }
}

export const geometryOf = (cpu: HostCpu): Geometry => {
  const areaBytes =
    cpu.xcr0 === 0n
      ? legacySize
      : cpu.components.reduce(
          (size, c) => (c.supervisor ? size : Math.max(size, c.offset + c.size)),
          minXsaveSize,
        )
  const headroom = pages(areaBytes + slack)
  const spareBytes = pages(2 * areaBytes + slack)
  return {
    areaBytes,
    // A frame built from nothing takes MAGIC2 too, and the fsave header before it.
    imageBytes: builtPrefix + lines(Math.max(areaBytes, minXsaveSize) + magic2Size),
    headroom,
    stackBytes: headroom + pages(Math.max(2 * cpu.minSignalStack, 2 * areaBytes) + below),
    spareBytes,
    longestSent: lines(Math.max(areaBytes + cacheLine + headroom, spareBytes)),
  }
}

/** Bytes of the regions in the arena's data, in their order. */
export const regionsOf = (geometry: Geometry, recordHead: number) => ({
  images: imageSlots * geometry.imageBytes,
  edits: editPoolBytes,
  records: ringSlots * planRecords(recordHead, geometry.areaBytes + cacheLine).slotBytes,
  longSent: ringSlots * (recordHead + geometry.longestSent),
  scratch: lines(2 * mostThreads * geometry.imageBytes),
  stress: stressRoom,
  traced: tracedRoom,
})

/** The arena for this geometry. */
export const shapeOf = (geometry: Geometry, recordHead: number, permissions: bigint): ArenaShape => ({
  stackBytes: geometry.stackBytes,
  headroom: geometry.headroom,
  spareBytes: geometry.spareBytes,
  dataBytes: Object.values(regionsOf(geometry, recordHead)).reduce((sum, bytes) => sum + bytes, 0),
  permissions,
})

/** What a layout says of its host: nothing but what frames rest on. XSAVES is assumed where there is AVX. */
export const hostOfLayout = (layout: Layout): HostCpu => {
  const { components, vendor, mxcsrMask } = layout.toJSON()
  return {
    vendor,
    brand: '',
    family: 0,
    model: 0,
    stepping: 0,
    hypervisor: null,
    mxcsrMask,
    minSignalStack: 0,
    xcr0: layout.hostFeatures,
    xsaveFeatures: layout.has('avx') ? 0xf : 0,
    components,
  }
}

/** How far edits may reach in a session of this layout: what its host's geometry gives. */
export const limitsOfLayout = (layout: Layout): EditLimits => {
  const { headroom, longestSent, spareBytes } = geometryOf(hostOfLayout(layout))
  const frameBytes = layout.xsave ? layout.size + magic2Size : legacySize
  return {
    frameBytes,
    inPlaceBytes: Math.min(frameBytes + headroom, longestSent),
    spareBytes: Math.min(spareBytes, longestSent),
  }
}
