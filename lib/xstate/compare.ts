/**
 * Comparing register states by their images. XSTATE_BV is a hint: where its bit is clear the component has its init
 * value, whatever the bytes say, and hardware may clear or leave the bit of a component that holds it (SDM volume 1,
 * 13.6). So states are compared in a canonical form, and bytes that carry no state are left out.
 */
import { isUint8Array, outOfRange, wrongType } from '../errors.ts'
import type { ComponentName } from './components.ts'
import { fieldOffset, fswEs, initFcw, initMxcsr } from './image.ts'
import { type Layout, minXsaveSize, type PlacedComponent } from './layout.ts'

// Everything here takes raw bytes in the standard format, which may be longer than the layout: a frame, a buffer.
// The equal path makes no copies: a session compares whole images at the pace at which the kernel delivers them.

const checkLength = (bytes: Uint8Array, needed: number): void => {
  if (!isUint8Array(bytes)) throw wrongType('bytes', bytes, 'a Uint8Array')
  if (bytes.length < needed) throw outOfRange('bytes.length', bytes.length, `must be at least ${needed}`)
}

// A component that is not in use may lie beyond the end of the bytes, as in a shrunk frame.
const isInUse = (bytes: Uint8Array, layout: Layout, placed: PlacedComponent): boolean => {
  checkLength(bytes, layout.xsave ? minXsaveSize : placed.end)
  if (!layout.xsave) return true
  const bit = ((bytes[fieldOffset.xstateBv + (placed.index >> 3)] ?? 0) >> (placed.index & 7)) & 1
  if (bit === 0) return false
  checkLength(bytes, placed.end)
  return true
}

// PKRU is 4 of 8 bytes, BNDCFGU and BNDSTATUS 16 of 64 (SDM volume 1, 13.5.7 and 13.5.4); XSAVE need not write
// the rest.
const significantSize = ({ name, size }: PlacedComponent): number =>
  name === 'pkru' ? Math.min(4, size) : name === 'bndcsr' ? Math.min(16, size) : size

/** From here on a call of native code costs less than a loop, most of all where instructions are emulated. */
const manyBytes = 128

const equalBytes = (a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, size: number): boolean => {
  if (size >= manyBytes)
    return Buffer.prototype.compare.call(a, b, bStart, bStart + size, aStart, aStart + size) === 0
  for (let i = 0; i < size; i++) {
    if (a[aStart + i] !== b[bStart + i]) return false
  }
  return true
}

const zeros = new Uint8Array(1024)

const isZero = (bytes: Uint8Array, start: number, end: number): boolean => {
  const size = end - start
  if (size >= manyBytes && size <= zeros.length) return equalBytes(bytes, start, zeros, 0, size)
  for (let i = start; i < end; i++) {
    if (bytes[i] !== 0) return false
  }
  return true
}

const everyRegister = (test: (offset: number) => boolean): boolean => {
  for (let i = 0; i < 8; i++) {
    if (!test(fieldOffset.st + 16 * i)) return false
  }
  return true
}

const hasEs = (bytes: Uint8Array): boolean => ((bytes[fieldOffset.fsw] ?? 0) & fswEs) !== 0

const stSize = 10
const pointers = fieldOffset.mxcsr - fieldOffset.fop

// FCW, FSW, FTW and the registers; FOP, FIP and FDP only where an exception is pending: AMD drops them otherwise.
const sameX87 = (a: Uint8Array, b: Uint8Array, withPointers = true): boolean =>
  equalBytes(a, fieldOffset.fcw, b, fieldOffset.fcw, 5) &&
  (!withPointers || !hasEs(a) || equalBytes(a, fieldOffset.fop, b, fieldOffset.fop, pointers)) &&
  everyRegister(offset => equalBytes(a, offset, b, offset, stSize))

const isInitX87 = (bytes: Uint8Array): boolean =>
  bytes[0] === (initFcw & 0xff) &&
  bytes[1] === initFcw >> 8 &&
  isZero(bytes, fieldOffset.fsw, fieldOffset.ftw + 1) &&
  everyRegister(offset => isZero(bytes, offset, offset + stSize))

const isInit = (bytes: Uint8Array, placed: PlacedComponent): boolean =>
  placed.index === 0
    ? isInitX87(bytes)
    : isZero(bytes, placed.offset, placed.offset + significantSize(placed))

const isInitPlaced = (bytes: Uint8Array, layout: Layout, placed: PlacedComponent): boolean =>
  !isInUse(bytes, layout, placed) || isInit(bytes, placed)

const samePlaced = (a: Uint8Array, b: Uint8Array, layout: Layout, placed: PlacedComponent): boolean => {
  const aInUse = isInUse(a, layout, placed)
  const bInUse = isInUse(b, layout, placed)
  if (!aInUse) return !bInUse || isInit(b, placed)
  if (!bInUse) return isInit(a, placed)
  if (placed.index === 0) return sameX87(a, b)
  return equalBytes(a, placed.offset, b, placed.offset, significantSize(placed))
}

const rangesSize = ({ ranges }: PlacedComponent): number => ranges.reduce((sum, range) => sum + range.size, 0)

const gather = (bytes: Uint8Array, placed: PlacedComponent): Uint8Array => {
  const gathered = new Uint8Array(rangesSize(placed))
  let at = 0
  for (const { offset, size } of placed.ranges) {
    gathered.set(bytes.subarray(offset, offset + size), at)
    at += size
  }
  return gathered
}

// Positions in the gathered form: MXCSR's 8 bytes are not in it.
const gatheredSt = fieldOffset.st - 8

const dropX87 = (gathered: Uint8Array): void => {
  gathered[fieldOffset.ftw + 1] = 0
  if (!hasEs(gathered)) gathered.fill(0, fieldOffset.fop, fieldOffset.mxcsr)
  for (let i = 0; i < 8; i++) {
    gathered.fill(0, gatheredSt + 16 * i + stSize, gatheredSt + 16 * (i + 1))
  }
}

/**
 * The init value of a component, in the form of `canonicalComponent`: zeros, but for FCW 0x37f (SDM volume 1, 13.6).
 * @throws RangeError when the layout lacks the component
 */
export const initValue = (layout: Layout, name: ComponentName): Uint8Array => {
  const placed = layout.component(name)
  const value = new Uint8Array(rangesSize(placed))
  if (placed.index === 0) value.set([initFcw & 0xff, initFcw >> 8])
  return value
}

/**
 * A component's value: its own bytes (x87: 152, without MXCSR), the init value where the XSTATE_BV bit is clear,
 * and zeros for what carries no state: reserved bytes, and FOP, FIP and FDP unless FSW.ES is set. Two states are
 * the same exactly when these are.
 * @throws RangeError when the layout lacks the component or the bytes end before it; TypeError
 */
export const canonicalComponent = (bytes: Uint8Array, layout: Layout, name: ComponentName): Uint8Array => {
  const placed = layout.component(name)
  if (!isInUse(bytes, layout, placed)) return initValue(layout, name)
  const gathered = gather(bytes, placed)
  if (placed.index === 0) dropX87(gathered)
  else gathered.fill(0, significantSize(placed))
  return gathered
}

/** Whether a component is in its init state: its bit clear, or its bytes the init value. @throws as `canonicalComponent` */
export const isInitComponent = (bytes: Uint8Array, layout: Layout, name: ComponentName): boolean =>
  isInitPlaced(bytes, layout, layout.component(name))

/** Whether a component holds the same in both. MXCSR is compared on its own. @throws as `canonicalComponent` */
export const sameComponent = (a: Uint8Array, b: Uint8Array, layout: Layout, name: ComponentName): boolean =>
  samePlaced(a, b, layout, layout.component(name))

/** The components that differ, lowest bit first; MXCSR is not among them. @throws as `canonicalComponent` */
export const diffComponents = (a: Uint8Array, b: Uint8Array, layout: Layout): ComponentName[] => {
  const different: ComponentName[] = []
  for (const placed of layout.components) {
    if (!samePlaced(a, b, layout, placed)) different.push(placed.name)
  }
  return different
}

const sameMxcsrBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  equalBytes(a, fieldOffset.mxcsr, b, fieldOffset.mxcsr, 4)

const isInitMxcsr = (bytes: Uint8Array): boolean =>
  isZero(bytes, fieldOffset.mxcsr + 2, fieldOffset.mxcsrMask) &&
  bytes[fieldOffset.mxcsr] === (initMxcsr & 0xff) &&
  bytes[fieldOffset.mxcsr + 1] === initMxcsr >> 8

/** Whether MXCSR is the same in both. XSAVE and XRSTOR treat it apart from the SSE bit of XSTATE_BV. @throws TypeError, RangeError */
export const sameMxcsr = (a: Uint8Array, b: Uint8Array): boolean => {
  checkLength(a, fieldOffset.mxcsrMask)
  checkLength(b, fieldOffset.mxcsrMask)
  return sameMxcsrBytes(a, b)
}

/** The images that a state after sigreturn can come from. */
export interface Origins {
  /** The frame's XSAVE area as it was sent. */
  readonly sent: Uint8Array
  /** What the registers held when the signal hit. */
  readonly loaded: Uint8Array
  /** What the handler loaded just before sigreturn, if it did. */
  readonly poison?: Uint8Array | undefined
}

/** Every explanation of a state that its bytes allow. More than one, and the images were not distinct. */
export interface Explanation {
  /** As the frame said. */
  readonly restored: boolean
  /** In its init state. */
  readonly init: boolean
  /** As the handler left it: the kernel did not touch it. False without a poison. */
  readonly kept: boolean
  /** As it was before the signal. */
  readonly loaded: boolean
}

/**
 * Where a component's state after sigreturn can come from.
 * @throws RangeError when the layout lacks the component or bytes end before it; TypeError
 */
export const explain = (
  after: Uint8Array,
  origins: Origins,
  layout: Layout,
  name: ComponentName,
): Explanation => {
  const placed = layout.component(name)
  const same = (origin: Uint8Array): boolean => samePlaced(after, origin, layout, placed)
  const { sent, loaded, poison } = origins
  return {
    restored: same(sent),
    init: isInitPlaced(after, layout, placed),
    kept: poison !== undefined && same(poison),
    loaded: same(loaded),
  }
}

/** The same for MXCSR, which is no component: its init value is 0x1f80. @throws TypeError, RangeError */
export const explainMxcsr = (after: Uint8Array, { sent, loaded, poison }: Origins): Explanation => ({
  restored: sameMxcsr(after, sent),
  init: isInitMxcsr(after),
  kept: poison !== undefined && sameMxcsr(after, poison),
  loaded: sameMxcsr(after, loaded),
})

// Whole ranges are compared by memcmp: byte by byte, tiles would cost more than the probe.
const sameRange = (a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, size: number): boolean =>
  Buffer.prototype.compare.call(a, b, bStart, bStart + size, aStart, aStart + size) === 0

/**
 * Whether a component of a saved state holds these bytes: those of an area in the standard format in which the
 * component counts, whatever its header says; or its init value where there are none.
 * @param withPointers whether FOP, FIP and FDP count where an exception is pending: emulators may not keep them
 */
export const holdsBytes = (
  saved: Uint8Array,
  layout: Layout,
  placed: PlacedComponent,
  source: Uint8Array | null,
  withPointers = true,
): boolean => {
  if (!isInUse(saved, layout, placed)) return source === null || isInit(source, placed)
  if (source === null) return isInit(saved, placed)
  if (placed.index === 0) return sameX87(saved, source, withPointers)
  return sameRange(saved, placed.offset, source, placed.offset, significantSize(placed))
}
