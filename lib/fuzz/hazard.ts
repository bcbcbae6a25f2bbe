/**
 * Whether a frame can be sent at all: it compiles, and what it has the kernel load does not take the process's own
 * memory away from it. What the grammar draws can; what a shrinker makes of it need not. Pure.
 */

import { viewOf } from '../bytes.ts'
import { applyPrimitives } from '../frame/apply.ts'
import { buildFpstate } from '../frame/build.ts'
import { compileEdit } from '../frame/compile.ts'
import type { EditLimits, Primitive } from '../frame/edit.ts'
import { magic1 } from '../frame/format.ts'
import { isKnownComponent } from '../xstate/components.ts'
import { fieldOffset, initImage, validateLoadable, type XsaveImage } from '../xstate/image.ts'
import { type Layout, minXsaveSize, type PlacedComponent } from '../xstate/layout.ts'
import type { DrawnFrame } from './grammar.ts'

export interface HazardContext {
  readonly layout: Layout
  readonly limits: EditLimits
  /** The image that `frame.load` stands for. */
  readonly load: XsaveImage
}

const compactedBit = 1n << 63n
/** Of these the content counts; any other component takes any bytes. */
const choosy = new Set(['pkru', 'bndcsr', 'xtilecfg'])

const distanceOf = (primitives: readonly Primitive[]): number =>
  Number(primitives.reduce((sum, op) => (op.code === 'offset' ? sum + BigInt.asIntN(64, op.value) : sum), 0n))

/** Bytes from the start of the frame to the end of what can be read. */
const roomOf = (primitives: readonly Primitive[], { inPlaceBytes, spareBytes }: EditLimits): number => {
  const move = primitives.find(op => op.code === 'move')
  return move === undefined ? inPlaceBytes : spareBytes - move.at
}

/** PKRU itself; the rest of its component is unused (SDM volume 1, 13.5.7). */
const pkruSize = 4

/** How much of the frame has to be readable for a component to be loaded. */
const neededOf = ({ name, offset, end }: PlacedComponent): number =>
  name === 'pkru' ? offset + pkruSize : end

/** Why the components that a kernel may load cannot be; the message is `validateLoadable`'s. */
const wrongContents = (area: Uint8Array, layout: Layout, loaded: bigint): string | null => {
  const image = initImage(layout)
  image.xstateBv = layout.components.reduce((mask, one) => {
    const isLoaded = choosy.has(one.name) && (one.mask & loaded) !== 0n && neededOf(one) <= area.length
    if (!isLoaded) return mask
    image.bytes.set(area.subarray(one.offset, one.end), one.offset)
    return mask | one.mask
  }, 0n)
  try {
    validateLoadable(image, layout, 'sent')
    return null
  } catch (error) {
    return (error as Error).message
  }
}

const differs = (one: Uint8Array, other: Uint8Array, { offset, end }: PlacedComponent): boolean => {
  for (let i = offset; i < Math.min(end, one.length); i++) if (one[i] !== (other[i] ?? 0)) return true
  return false
}

/** What components accept that the table does not know, nobody can say: they stay as they were written. */
const strangeContents = (
  area: Uint8Array,
  written: Uint8Array,
  layout: Layout,
  loaded: bigint,
): string | null => {
  const strange = layout.extended.find(
    one => !isKnownComponent(one.name) && (one.mask & loaded) !== 0n && differs(area, written, one),
  )
  return strange === undefined ? null : `sent.${strange.name} is not as it was written`
}

/** Components that would be read from elsewhere than the standard format has them. */
const misplaced = (layout: Layout, xcompBv: bigint): bigint => {
  const { components: sources } = layout.toJSON()
  let end = minXsaveSize
  let wrong = 0n
  for (const { index, size, offset, alignedCompacted } of sources) {
    const bit = 1n << BigInt(index)
    if ((xcompBv & bit) === 0n) continue
    const at = alignedCompacted ? Math.ceil(end / 64) * 64 : end
    if (at !== offset) wrong |= bit
    end = at + size
  }
  return wrong
}

const hazardOfArea = (area: Uint8Array, written: Uint8Array, layout: Layout): string | null => {
  if (!layout.xsave || area.length < minXsaveSize) return null
  const view = viewOf(area)
  // Without MAGIC1 no kernel uses XRSTOR.
  if (view.getUint32(464, true) !== magic1) return null
  const loaded = view.getBigUint64(fieldOffset.xstateBv, true)
  const xcompBv = view.getBigUint64(fieldOffset.xcompBv, true)
  if ((xcompBv & compactedBit) === 0n || (xcompBv & ~compactedBit & ~layout.hostFeatures) !== 0n)
    return wrongContents(area, layout, loaded) ?? strangeContents(area, written, layout, loaded)
  // Whichever of the two formats a kernel reads.
  if ((misplaced(layout, xcompBv) & loaded) !== 0n)
    return 'sent.xcompBv has components read from the bytes of others'
  return wrongContents(area, layout, loaded)
}

/** Why a frame must not be sent, in one line; null where it can be. */
export const hazardOf = (
  { abi, edit }: Pick<DrawnFrame, 'abi' | 'edit'>,
  { layout, limits, load }: HazardContext,
): string | null => {
  let primitives: readonly Primitive[]
  try {
    primitives = compileEdit(edit, layout, limits, 'edit', abi).primitives
  } catch (error) {
    return (error as Error).message
  }
  const written = buildFpstate(layout, load, abi).fpstate
  const sent = applyPrimitives(written, primitives)
  const distance = distanceOf(primitives)
  if (distance < 0) return `edit leads ${-distance} bytes below the frame, which are in no record`
  const needed = Math.min(roomOf(primitives, limits), written.length + distance)
  if (distance > 0 && sent.length < needed)
    return `edit leads ${distance} bytes on, to bytes that are in no record: only ${sent.length} are sent`
  return hazardOfArea(sent.subarray(Math.min(distance, sent.length)), written, layout)
}
