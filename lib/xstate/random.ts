/**
 * Random images: what makes one register state tell itself from another. The same seed gives the same image, on
 * any machine; whatever is drawn can be loaded and reads back as it was, and no component drawn is in its init state.
 */

import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus'
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator'
import { byteLengthOf, checkU64, hex, isUint8Array, outOfRange, wrongType } from '../errors.ts'
import { type ComponentName, componentNamed, isKnownComponent, namesOf } from './components.ts'
import {
  fieldOffset,
  initFcw,
  initImage,
  initMxcsr,
  palette1,
  tilecfgOffset,
  type XsaveImage,
} from './image.ts'
import type { Layout, PlacedComponent } from './layout.ts'

export type { RandomGenerator }

const checkSeed = (seed: number): number => {
  if (typeof seed === 'number' && Number.isSafeInteger(seed)) return seed
  throw wrongType('seed', seed, 'a safe integer')
}

// A linear generator needs some steps before seeds that differ in one bit look unrelated.
const warmUp = 20

/** A generator for `randomComponent`; every safe integer gives a sequence of its own. @throws TypeError */
export const createRandom = (seed: number): RandomGenerator => {
  const high = Math.floor(checkSeed(seed) / 0x1_0000_0000)
  const random = xoroshiro128plusFromState([-1, ~seed, seed | 0, high | 0])
  for (let i = 0; i < warmUp; i++) random.next()
  return random
}

const fillBytes = (bytes: Uint8Array, offset: number, end: number, random: RandomGenerator): void => {
  for (let i = offset; i < end; i += 4) {
    const word = random.next()
    for (let j = 0; j < 4 && i + j < end; j++) bytes[i + j] = word >>> (8 * j)
  }
}

const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

// Whole words where they are aligned, as they are in images of our own: a fill must not cost more than a probe.
const fill = (bytes: Uint8Array, offset: number, size: number, random: RandomGenerator): void => {
  const start = bytes.byteOffset + offset
  if (start % 4 === 0 && size % 4 === 0 && littleEndian) {
    const words = new Uint32Array(bytes.buffer, start, size / 4)
    for (let i = 0; i < words.length; i++) words[i] = random.next()
  } else {
    fillBytes(bytes, offset, offset + size, random)
  }
  // All zero would be the init state, and for a component of 8 bytes chance alone is no promise.
  if (bytes[offset] === 0) bytes[offset] = 1
}

type Filler = (bytes: Uint8Array, placed: PlacedComponent, random: RandomGenerator) => void

const setU16 = (bytes: Uint8Array, offset: number, value: number): void => {
  bytes[offset] = value
  bytes[offset + 1] = value >>> 8
}

const setU32 = (bytes: Uint8Array, offset: number, value: number): void => {
  setU16(bytes, offset, value)
  setU16(bytes, offset + 2, value >>> 16)
}

const precisionControls = [0, 2, 3] as const
const conditionCodes = 0x4700
const stReserved = [10, 11, 12, 13, 14, 15] as const

// FOP, FIP and FDP stay 0: AMD keeps them only with an exception pending, and none is. At least one register is
// tagged as in use, so that FTW alone tells the value from the init state.
const fillX87: Filler = (bytes, _placed, random) => {
  const word = random.next()
  const precision = precisionControls[(word >>> 8) % 3] ?? 0
  setU16(bytes, fieldOffset.fcw, (initFcw & ~0xf00) | (precision << 8) | ((word & 3) << 10))
  setU16(bytes, fieldOffset.fsw, (word >>> 16) & (conditionCodes | 0x3800))
  bytes[fieldOffset.ftw] = ((random.next() >>> 8) % 0xff) + 1
  bytes.fill(0, fieldOffset.ftw + 1, fieldOffset.mxcsr)
  fill(bytes, fieldOffset.st, 128, random)
  for (let i = 0; i < 8; i++) {
    for (const j of stReserved) bytes[fieldOffset.st + 16 * i + j] = 0
  }
}

// Only 4 of its 8 bytes are PKRU (SDM volume 1, 13.5.7). Key 0's rights stay open: see `validateLoadable`.
const fillPkru: Filler = (bytes, { offset }, random) => {
  setU32(bytes, offset, random.next() & ~3 || 4)
  setU32(bytes, offset + 4, 0)
}

// A base and a fault address in the lower half of 48 bits. MPX stays disabled (bit 0): enabled, any branch
// would put the bound registers to their init state.
const fillBndcsr: Filler = (bytes, { offset, end }, random) => {
  bytes.fill(0, offset, end)
  const preserve = random.next() & 2
  setU32(bytes, offset, (random.next() & ~0xfff) | preserve)
  setU32(bytes, offset + 4, random.next() & 0x7fff || 1)
  setU32(bytes, offset + 8, (random.next() & ~3) | 1)
  setU32(bytes, offset + 12, random.next() & 0x7fff)
}

// Palette 1, every tile configured. start_row stays 0: only an interrupted instruction sets it.
const fillTilecfg: Filler = (bytes, { offset, end }, random) => {
  bytes.fill(0, offset, end)
  bytes[offset + tilecfgOffset.palette] = 1
  for (let i = 0; i < palette1.tiles; i++) {
    const word = random.next() >>> 8
    setU16(bytes, offset + tilecfgOffset.colsb + 2 * i, 4 + 4 * (word & 0xf))
    bytes[offset + tilecfgOffset.rows + i] = 1 + ((word >>> 4) & 0xf)
  }
}

const fillWhole: Filler = (bytes, { offset, size }, random) => fill(bytes, offset, size, random)

const fillers: Partial<Record<ComponentName, Filler>> = {
  x87: fillX87,
  pkru: fillPkru,
  bndcsr: fillBndcsr,
  xtilecfg: fillTilecfg,
}

const fillPlaced: Filler = (bytes, placed, random) =>
  (fillers[placed.name] ?? fillWhole)(bytes, placed, random)

/**
 * Draws one component anew, in an image or in a frame, and sets its XSTATE_BV bit. MXCSR is no part of SSE: it
 * stays. Tile data is drawn whole, whatever the tile configuration (XRSTOR and XSAVE keep it whole).
 * @param bytes an XSAVE area in the standard format, at least to the component's end
 * @throws TypeError, RangeError when the layout lacks the component or the bytes are too few
 */
export const randomComponent = (
  bytes: Uint8Array,
  layout: Layout,
  name: ComponentName,
  random: RandomGenerator,
): void => {
  const placed = layout.component(name)
  if (!isUint8Array(bytes)) throw wrongType('bytes', bytes, 'a Uint8Array')
  const needed = layout.xsave ? Math.max(placed.end, fieldOffset.reserved) : placed.end
  if (byteLengthOf(bytes) < needed)
    throw outOfRange('bytes.length', bytes.length, `must be at least ${needed}`)
  fillPlaced(bytes, placed, random)
  if (!layout.xsave) return
  const at = fieldOffset.xstateBv + (placed.index >> 3)
  bytes[at] = (bytes[at] ?? 0) | (1 << (placed.index & 7))
}

const exceptionFlags = [0, 1, 2, 3, 4, 5]
const daz = 6
const roundingAndFtz = [13, 14, 15]

/**
 * An MXCSR of its own for every number: exceptions masked, flags, rounding, flush-to-zero and (where the mask has
 * it) denormals-are-zeros drawn. Never the init value, and never the same for numbers that differ by less than 511,
 * so that images of neighbouring seeds can be told by MXCSR too, which ten bits alone would not promise.
 */
export const randomMxcsr = (layout: Layout, seed: number): number => {
  const bits = [...exceptionFlags, ...((layout.mxcsrMask >>> daz) & 1 ? [daz] : []), ...roundingAndFtz]
  const values = 2 ** bits.length - 1
  const positive = ((checkSeed(seed) % values) + values) % values
  // 389 shares no factor with 1023 or 511: it scatters neighbours and merges none.
  const drawn = 1 + ((positive * 389) % values)
  return bits.reduce((mxcsr, bit, i) => mxcsr | (((drawn >>> i) & 1) << bit), initMxcsr)
}

/** What `randomImage` draws. */
export interface RandomImageOptions {
  /** Any safe integer. */
  readonly seed: number
  /**
   * The components to draw; the others are in their init state. Default: all of the layout that are known by name:
   * what a component of a newer CPU accepts is not known, and a wrong guess could not be loaded.
   */
  readonly components?: readonly ComponentName[] | bigint | undefined
}

const knownFeatures = (layout: Layout): bigint =>
  layout.components.reduce((mask, c) => (isKnownComponent(c.name) ? mask | c.mask : mask), 0n)

const checkComponents = (layout: Layout, given: unknown): bigint => {
  if (given === undefined) return knownFeatures(layout)
  if (typeof given === 'bigint') {
    const outside = checkU64('components', given) & ~layout.features
    if (outside === 0n) return given
    const limit = `which has bits outside ${hex(layout.features)} (${namesOf(layout.features).join(' ')})`
    throw outOfRange('components', given, limit)
  }
  if (!Array.isArray(given))
    throw wrongType('components', given, 'an array of component names or a feature mask')
  return given.reduce((mask: bigint, name, i) => mask | layout.component(name, `components[${i}]`).mask, 0n)
}

/**
 * A random image of a layout, and the same one for the same seed. It passes `validateLoadable`, and each component
 * drawn differs from its init state and from every other seed's. MXCSR is drawn along with SSE.
 * @throws TypeError, RangeError when the seed is no safe integer or the layout lacks a component
 */
export const randomImage = (layout: Layout, options: RandomImageOptions): XsaveImage => {
  const { seed, components } = options
  const mask = checkComponents(layout, components)
  const random = createRandom(seed)
  const image = initImage(layout)
  for (const placed of layout.components) {
    if ((mask & placed.mask) !== 0n) fillPlaced(image.bytes, placed, random)
  }
  if ((mask & componentNamed('sse').mask) !== 0n) image.mxcsr = randomMxcsr(layout, seed)
  if (layout.xsave) image.xstateBv = mask
  return image
}
