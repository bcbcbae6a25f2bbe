/** The sizes, masks and places that mean something to a kernel, of one layout. Made once; drawing only picks. */
import type { EditLimits } from '../../frame/edit.ts'
import { magic2Size } from '../../frame/format.ts'
import { isKnownComponent } from '../../xstate/components.ts'
import {
  type Layout,
  legacyFeatures,
  legacySize,
  minXsaveSize,
  type PlacedComponent,
} from '../../xstate/layout.ts'
import { createRandom } from '../../xstate/random.ts'

/** An area must lie at a multiple of it (SDM volume 1, 13.4). */
export const alignment = 64
export const pageSize = 4096
/** Up to so many components all subsets are drawn from, of more a sample. */
const mostComponents = 10
/** How far behind the frame claims reach that are still sent in full. */
const beyondUserSize = pageSize + alignment
/** The furthest that a frame is moved to, see `straddles`. */
const furthestMove = pageSize
const compactedBit = 1n << 63n

/**
 * Whether arbitrary bytes must not be loaded as this component: PKRU takes the process's own memory away from it,
 * BNDCSR has reserved bits, XTILECFG is dropped by hardware unless it is valid. What a component accepts that the
 * table does not know, nobody can say.
 */
const isFragile = ({ name }: PlacedComponent): boolean =>
  name === 'pkru' || name === 'bndcsr' || name === 'xtilecfg' || !isKnownComponent(name)

/** A subset of the features, and the bytes that a frame of it has. */
export interface Subset {
  readonly mask: bigint
  readonly size: number
}

export interface Places {
  readonly layout: Layout
  /** The kernel's user_size. */
  readonly userSize: number
  /** Bytes that the kernel writes. */
  readonly frameBytes: number
  readonly spareBytes: number
  /** No edit, wherever the frame lies, reaches further. */
  readonly mostReach: number
  readonly fragile: readonly PlacedComponent[]
  /** Extended components that may hold any bytes. */
  readonly sturdy: readonly PlacedComponent[]
  /** Near what the kernel looks at; all of them can hold MAGIC2 behind them. */
  readonly sizes: readonly number[]
  /** Those of at least 576, ascending. */
  readonly extendedSizes: readonly number[]
  /** No MAGIC2 can be placed there. */
  readonly farSizes: readonly number[]
  readonly subsets: readonly Subset[]
  /** Those that need more than 576 bytes. */
  readonly extendedSubsets: readonly Subset[]
  /** Bits that no user component of this host has; no supervisor's. */
  readonly unknownBits: readonly bigint[]
  readonly supervisorBits: readonly bigint[]
  /** Components that the host has and this task has not. */
  readonly untouchedBits: readonly bigint[]
  /** XCOMP_BV with bit 63 under which the standard format's bytes are a proper compacted image too. */
  readonly compacted: readonly bigint[]
  /** Multiples of 64 up to behind the frame. */
  readonly steps: readonly number[]
}

const distinct = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b)

const distances = [0, 1, -1, 4, -4, alignment, -alignment] as const

const sizesOf = (layout: Layout, most: number): readonly number[] => {
  const around = [
    ...layout.extended.flatMap(({ offset, end }) => [offset, end]),
    layout.size,
    minXsaveSize,
  ].flatMap(size => distances.map(by => size + by))
  return Object.freeze(
    distinct([
      0,
      1,
      ...[464, legacySize - 1, legacySize, minXsaveSize - 1, minXsaveSize, minXsaveSize + 1],
      ...layout.components.flatMap(({ offset, end }) => [offset, end]),
      ...around,
      layout.size + pageSize,
    ]).filter(size => size >= 0 && size + magic2Size <= most),
  )
}

/** The sums of all subsets of the masks; a sample of them where they are many. */
const subsetMasks = (masks: readonly bigint[]): bigint[] => {
  const random = createRandom(masks.length)
  const count = 2 ** Math.min(masks.length, mostComponents)
  const all = masks.length <= mostComponents
  return Array.from({ length: count }, (_, i) => {
    const bits = all ? i : random.next()
    return masks.reduce((sum, mask, n) => ((bits >>> (n % 32)) & 1 ? sum | mask : sum), 0n)
  })
}

const subsetsOf = (layout: Layout): readonly Subset[] =>
  Object.freeze(
    subsetMasks(layout.components.map(({ mask }) => mask)).map(mask =>
      Object.freeze({ mask, size: layout.sizeFor(mask) }),
    ),
  )

const unknownIndices = [62, 61, 48, 32, 21, 20, 19, 18, 17, 9, 7, 6, 5, 4, 3, 2] as const
// PT, PASID, CET_U, CET_S, HDC, UINTR, LBR, HWP
const supervisorIndices = [8, 10, 11, 12, 13, 14, 15, 16] as const

const bitsOutside = (indices: readonly number[], mask: bigint): readonly bigint[] =>
  Object.freeze(indices.map(index => 1n << BigInt(index)).filter(bit => (bit & mask) === 0n))

/**
 * The XCOMP_BV of the lowest components, as far as they follow one another without a gap (SDM volume 1, 13.4.3).
 * Others would have PKRU and XTILECFG read from other components' bytes.
 */
const compactedOf = (layout: Layout): readonly bigint[] => {
  const { components: sources } = layout.toJSON()
  const found = [legacyFeatures]
  let end = minXsaveSize
  let mask = legacyFeatures
  for (const { index, offset, size, mask: bit } of layout.extended) {
    const aligned = sources.find(one => one.index === index)?.alignedCompacted ?? false
    const at = aligned ? Math.ceil(end / alignment) * alignment : end
    if (at !== offset) break
    mask |= bit
    end = at + size
    found.push(mask)
  }
  return Object.freeze(found.map(one => one | compactedBit))
}

/** @param layout one with XSAVE */
export const placesOf = (layout: Layout, limits: EditLimits): Places => {
  const { frameBytes, inPlaceBytes, spareBytes } = limits
  const mostReach = Math.min(frameBytes + beyondUserSize + alignment, inPlaceBytes, spareBytes - furthestMove)
  const sizes = sizesOf(layout, Math.max(frameBytes, mostReach - alignment))
  const subsets = subsetsOf(layout)
  return Object.freeze({
    layout,
    userSize: layout.size,
    frameBytes,
    spareBytes,
    mostReach,
    fragile: Object.freeze(layout.extended.filter(isFragile)),
    sturdy: Object.freeze(layout.extended.filter(one => !isFragile(one))),
    sizes,
    extendedSizes: Object.freeze(sizes.filter(size => size >= minXsaveSize)),
    farSizes: Object.freeze([0x10_0000, 0x7fff_ffff, 0x8000_0000]),
    subsets,
    extendedSubsets: Object.freeze(subsets.filter(({ size }) => size > minXsaveSize)),
    unknownBits: bitsOutside(unknownIndices, layout.hostFeatures),
    supervisorBits: bitsOutside(supervisorIndices, layout.hostFeatures),
    untouchedBits: bitsOutside([...Array(64).keys()], ~(layout.hostFeatures & ~layout.features)),
    compacted: compactedOf(layout),
    steps: Object.freeze(
      Array.from({ length: Math.ceil(frameBytes / alignment) }, (_, i) => alignment * (i + 1)),
    ),
  })
}
