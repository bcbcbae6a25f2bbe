/** Frames that reach a rule, as edits of the frame that the kernel wrote. Pure. */
import type { EditOp } from '../frame/edit.ts'
import { magic2Size } from '../frame/format.ts'
import { type ComponentName, maskOf } from '../xstate/components.ts'
import { type Layout, legacyFeatures, minXsaveSize } from '../xstate/layout.ts'
import { randomImage } from '../xstate/random.ts'

/** A component that no CPU has: what frames of a future CPU may claim. The kernel's v3 tests use the same bit. */
export const futureFeature = 1n << 62n

/** The standard-format area must stay 64-byte aligned wherever a frame ends before a page that cannot be read. */
const alignment = 64

/** The feature mask of a frame that has x87, SSE and these components. */
export const featuresOf = (components: readonly ComponentName[]): bigint =>
  legacyFeatures | maskOf(components)

/** What a handler does that changes registers: new values for these components, drawn by seed. */
export const freshValues = (layout: Layout, components: readonly ComponentName[], seed: number): EditOp[] => {
  const image = randomImage(layout, { seed, components })
  return components.map(name => ({ op: 'component', name, bytes: image.component(name).slice() }))
}

/** Keeps only these features in the sw bytes and in XSTATE_BV. */
export const maskFeatures = (features: bigint): EditOp[] => [
  { op: 'set', field: 'sw.xfeatures', value: features },
  { op: 'and', field: 'xstateBv', value: features },
]

/**
 * A size with MAGIC2 behind it, and nothing but zeros behind that: a stale MAGIC2 at the host's size would hide
 * that a kernel looks there.
 */
export const resizeTo = (xstateSize: number): EditOp[] => [
  { op: 'resize', xstateSize },
  { op: 'magic2', clearTail: true },
]

/** The frame that a CPU with x87, SSE and these components alone would have made. */
export const shrinkTo = (layout: Layout, components: readonly ComponentName[]): EditOp[] => {
  const features = featuresOf(components)
  return [...maskFeatures(features), ...resizeTo(layout.sizeFor(features))]
}

// MAGIC2 read as PKRU locks the process out of its own memory; as XTILECFG or BNDCSR it means nothing.
const fragile: readonly ComponentName[] = ['pkru', 'xtilecfg', 'bndcsr']

/**
 * A size, at least 576, at which the frame ends before the furthest of these components, with MAGIC2 on bytes that
 * may be loaded as register data: kernels up to 7.3 do that.
 */
export const sizeBelow = (layout: Layout, components: readonly ComponentName[]): number => {
  const furthest = Math.max(...components.map(name => layout.offset(name)))
  const touches = (size: number): boolean =>
    fragile.some(name => {
      if (!layout.has(name)) return false
      const { offset, end } = layout.component(name)
      return size < end && size + magic2Size > offset
    })
  let size = Math.floor(furthest / alignment) * alignment
  while (size > minXsaveSize && touches(size)) size -= alignment
  return Math.max(size, minXsaveSize)
}

/** The frame of a CPU with more than this one, in the second buffer: +64 bytes, one more component. */
export const enlarge = (layout: Layout): EditOp[] => [
  { op: 'move' },
  { op: 'resize', xstateSize: layout.size + alignment },
  { op: 'fill', at: layout.size, length: magic2Size, value: 0 },
  { op: 'magic2' },
  { op: 'or', field: 'sw.xfeatures', value: futureFeature },
]
