/**
 * An XSAVE image: the bytes of an area in the standard format, with the fields' names. Offsets are those of the
 * 64-bit format: Intel SDM volume 1, table 10-2 (legacy region), 13.4.2 (header), 13.5 (components).
 */
import { viewOf } from '../bytes.ts'
import { checkBytes, checkInteger, checkU64, hex, isUint8Array, outOfRange, wrongType } from '../errors.ts'
import { type ComponentName, namesOf } from './components.ts'
import { headerSize, Layout, legacyFeatures, legacySize } from './layout.ts'

/** Bytes from the start of the area to the fields that belong to no extended component. */
export const fieldOffset = Object.freeze({
  fcw: 0,
  fsw: 2,
  ftw: 4,
  fop: 6,
  fip: 8,
  fdp: 16,
  mxcsr: 24,
  mxcsrMask: 28,
  st: 32,
  xmm: 160,
  xstateBv: 512,
  xcompBv: 520,
  reserved: 528,
})

/** FCW in the init state: all exceptions masked, double extended precision (SDM volume 1, 13.6). */
export const initFcw = 0x37f
/** MXCSR in the init state: all exceptions masked (SDM volume 1, 13.6). */
export const initMxcsr = 0x1f80

/** FSW's exception summary: with it set, and only then, all CPUs keep FOP, FIP and FDP. */
export const fswEs = 0x80

const u16 = 0xffff
const u32 = 0xffff_ffff

const checkLayout = (layout: Layout): Layout => {
  if (Layout.is(layout)) return layout
  throw wrongType('layout', layout, 'a Layout')
}

/**
 * A view of an XSAVE image; writing to a field writes to `bytes`. Fields are what the bytes say: whether a
 * component counts is XSTATE_BV's business (see `canonicalComponent`). The arrays that methods return are
 * views too. Setters throw TypeError or RangeError naming the field, methods of a component that the layout
 * lacks RangeError naming what it has.
 */
export class XsaveImage {
  /** Exactly `layout.size` bytes. */
  readonly bytes: Uint8Array
  readonly layout: Layout
  readonly #view: DataView

  /** Takes the bytes as they are, not a copy of them. @throws TypeError, RangeError when they are not `layout.size` */
  constructor(bytes: Uint8Array, layout: Layout, field = 'image') {
    this.layout = checkLayout(layout)
    this.bytes = checkBytes(field, bytes, layout.size)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, layout.size)
  }

  /** Whether the value is an image: one that this class made and checked. */
  static is(value: unknown): value is XsaveImage {
    return typeof value === 'object' && value !== null && #view in value
  }

  /** x87 control word. */
  get fcw(): number {
    return this.#view.getUint16(fieldOffset.fcw, true)
  }
  set fcw(value: number) {
    this.#view.setUint16(fieldOffset.fcw, checkInteger('fcw', value, 0, u16), true)
  }

  /** x87 status word. */
  get fsw(): number {
    return this.#view.getUint16(fieldOffset.fsw, true)
  }
  set fsw(value: number) {
    this.#view.setUint16(fieldOffset.fsw, checkInteger('fsw', value, 0, u16), true)
  }

  /** x87 tags, abridged to a bit each: set where the register is not empty. */
  get ftw(): number {
    return this.#view.getUint8(fieldOffset.ftw)
  }
  set ftw(value: number) {
    this.#view.setUint8(fieldOffset.ftw, checkInteger('ftw', value, 0, 0xff))
  }

  /** Opcode of the last x87 instruction. */
  get fop(): number {
    return this.#view.getUint16(fieldOffset.fop, true)
  }
  set fop(value: number) {
    this.#view.setUint16(fieldOffset.fop, checkInteger('fop', value, 0, u16), true)
  }

  /** Address of the last x87 instruction. A CPU sign-extends it from its width of addresses. */
  get fip(): bigint {
    return this.#view.getBigUint64(fieldOffset.fip, true)
  }
  set fip(value: bigint) {
    this.#view.setBigUint64(fieldOffset.fip, checkU64('fip', value), true)
  }

  /** Address of its operand in memory. */
  get fdp(): bigint {
    return this.#view.getBigUint64(fieldOffset.fdp, true)
  }
  set fdp(value: bigint) {
    this.#view.setBigUint64(fieldOffset.fdp, checkU64('fdp', value), true)
  }

  /** SSE control and status. Of no component: plain XRSTOR loads it whatever XSTATE_BV says (SDM volume 1, 13.8.1). */
  get mxcsr(): number {
    return this.#view.getUint32(fieldOffset.mxcsr, true)
  }
  set mxcsr(value: number) {
    this.#view.setUint32(fieldOffset.mxcsr, checkInteger('mxcsr', value, 0, u32), true)
  }

  /** Which MXCSR bits the CPU that wrote the image has; ignored when it is loaded. */
  get mxcsrMask(): number {
    return this.#view.getUint32(fieldOffset.mxcsrMask, true)
  }
  set mxcsrMask(value: number) {
    this.#view.setUint32(fieldOffset.mxcsrMask, checkInteger('mxcsrMask', value, 0, u32), true)
  }

  /** Which components hold something else than their init value. Without XSAVE always 0x3, and not to be set. */
  get xstateBv(): bigint {
    return this.layout.xsave ? this.#view.getBigUint64(fieldOffset.xstateBv, true) : legacyFeatures
  }
  set xstateBv(value: bigint) {
    this.#setHeader('xstateBv', value)
  }

  /** 0 in the standard format, bit 63 set in the compacted one. Without XSAVE always 0, and not to be set. */
  get xcompBv(): bigint {
    return this.layout.xsave ? this.#view.getBigUint64(fieldOffset.xcompBv, true) : 0n
  }
  set xcompBv(value: bigint) {
    this.#setHeader('xcompBv', value)
  }

  #setHeader(field: 'xstateBv' | 'xcompBv', value: bigint): void {
    checkU64(field, value)
    if (!this.layout.xsave) throw outOfRange(field, value, 'but a layout without XSAVE has no header')
    this.#view.setBigUint64(fieldOffset[field], value, true)
  }

  /** Protection key rights, two bits a key: access disable, write disable. */
  get pkru(): number {
    return this.#view.getUint32(this.layout.offset('pkru'), true)
  }
  set pkru(value: number) {
    this.#view.setUint32(this.layout.offset('pkru'), checkInteger('pkru', value, 0, u32), true)
  }

  /** ST0..ST7 (as MMX: MM0..MM7 in the lower 8 bytes): 10 bytes. The 6 that follow each are reserved. */
  st(i: number): Uint8Array {
    return this.#at('st', fieldOffset.st, i, 8, 16, 10)
  }

  /** XMM0..XMM15: 16 bytes. */
  xmm(i: number): Uint8Array {
    return this.#at('xmm', fieldOffset.xmm, i, 16, 16)
  }

  /** The upper 16 bytes of YMM0..YMM15. */
  ymmHigh(i: number): Uint8Array {
    return this.#within('avx', i, 16, 16)
  }

  /** The upper 32 bytes of ZMM0..ZMM15. */
  zmmHigh(i: number): Uint8Array {
    return this.#within('zmm_hi256', i, 16, 32)
  }

  /** ZMM16..ZMM31 in full, 64 bytes, counted from 0: `zmm16(0)` is ZMM16. */
  zmm16(i: number): Uint8Array {
    return this.#within('hi16_zmm', i, 16, 64)
  }

  /** K0..K7: 8 bytes. */
  opmask(i: number): Uint8Array {
    return this.#within('opmask', i, 8, 8)
  }

  /** BND0..BND3: 16 bytes, the lower bound, then the upper in one's complement. */
  bnd(i: number): Uint8Array {
    return this.#within('bndregs', i, 4, 16)
  }

  /** TMM0..TMM7 of palette 1: 1024 bytes, 16 rows of 64. */
  tmm(i: number): Uint8Array {
    return this.#within('xtiledata', i, 8, 1024)
  }

  /** APX's R16..R31, 8 bytes, counted from 0: `egpr(0)` is R16. */
  egpr(i: number): Uint8Array {
    return this.#within('apx', i, 16, 8)
  }

  /** All bytes from the component's first to its last. x87's span includes MXCSR, which is not its own. */
  component(name: ComponentName): Uint8Array {
    const { offset, end } = this.layout.component(name)
    return this.bytes.subarray(offset, end)
  }

  /** An image of its own with the same bytes. */
  clone(): XsaveImage {
    return new XsaveImage(Uint8Array.from(this.bytes), this.layout)
  }

  #within(name: ComponentName, i: number, count: number, size: number): Uint8Array {
    const placed = this.layout.component(name)
    if (placed.size < count * size)
      throw outOfRange(`${name}.size`, placed.size, `must be at least ${count * size}`)
    return this.#at(name, placed.offset, i, count, size)
  }

  #at(field: string, offset: number, i: number, count: number, stride: number, size = stride): Uint8Array {
    const start = offset + checkInteger(`${field} index`, i, 0, count - 1) * stride
    return this.bytes.subarray(start, start + size)
  }
}

/** A new image in which everything is in its init state: zeros, FCW 0x37f, MXCSR 0x1f80, XSTATE_BV 0. */
export const initImage = (layout: Layout): XsaveImage => {
  const image = new XsaveImage(new Uint8Array(checkLayout(layout).size), layout)
  image.fcw = initFcw
  image.mxcsr = initMxcsr
  return image
}

/**
 * The image that these bytes are; a view, not a copy. Says nothing about whether it can be loaded.
 * @throws TypeError when it is no Uint8Array, RangeError when it is not `layout.size` bytes
 */
export const imageFrom = (bytes: Uint8Array, layout: Layout, field = 'image'): XsaveImage =>
  new XsaveImage(bytes, layout, field)

const checkHeader = (image: XsaveImage, field: string): void => {
  const { features, xsave } = image.layout
  if (!xsave) return
  const { xstateBv, xcompBv, bytes } = image
  if ((xstateBv & ~features) !== 0n) {
    const limit = `which has bits outside ${hex(features)} (${namesOf(features).join(' ')})`
    throw outOfRange(`${field}.xstateBv`, xstateBv, limit)
  }
  if (xcompBv !== 0n) throw outOfRange(`${field}.xcompBv`, xcompBv, 'must be 0x0: the standard format')
  // Some CPUs look at 528..535 alone, others at all of it: what loads here should load everywhere.
  for (let i: number = fieldOffset.reserved; i < legacySize + headerSize; i++) {
    if (bytes[i] !== 0)
      throw outOfRange(`${field}.bytes[${i}]`, bytes[i], 'must be 0: the header’s reserved bytes')
  }
}

const checkMxcsr = ({ mxcsr, layout }: XsaveImage, field: string): void => {
  if ((BigInt(mxcsr) & ~BigInt(layout.mxcsrMask)) === 0n) return
  throw outOfRange(`${field}.mxcsr`, BigInt(mxcsr), `which has bits outside ${hex(layout.mxcsrMask)}`)
}

const fcwReserved = 0xe080
const fcwAlwaysSet = 0x40
const exceptions = 0x3f
const fswEsAndB = 0x8080

// SDM volume 1, 8.1.3 and 8.1.5. A pending exception that is not masked would raise #MF at the next x87
// instruction, long after the load. The other refusals are of what a CPU does not keep: it sets FCW bit 6,
// clears FCW bits 7 and 13..15, and computes FSW's ES and B anew.
const checkX87 = ({ fcw, fsw }: XsaveImage, field: string): void => {
  if ((fsw & ~fcw & exceptions) !== 0) {
    const limit = `which has exceptions pending that FCW ${hex(fcw)} does not mask`
    throw outOfRange(`${field}.fsw`, BigInt(fsw), limit)
  }
  if ((fsw & fswEsAndB) !== 0) {
    throw outOfRange(
      `${field}.fsw`,
      BigInt(fsw),
      'must have ES and B (0x8080) clear: no exception is pending',
    )
  }
  if ((fcw & fcwReserved) !== 0) {
    throw outOfRange(`${field}.fcw`, BigInt(fcw), `which has reserved bits (${hex(fcwReserved)}) set`)
  }
  if ((fcw & fcwAlwaysSet) === 0) {
    throw outOfRange(`${field}.fcw`, BigInt(fcw), 'must have bit 6 (0x40) set, which always reads 1')
  }
}

const checkPkru = (image: XsaveImage, field: string): void => {
  if ((image.pkru & 3) === 0) return
  const limit = 'must have bits 0 and 1 clear: key 0 is the key of the process’s own memory'
  throw outOfRange(`${field}.pkru`, BigInt(image.pkru), limit)
}

const bndcfguReserved = 0xffcn
const isCanonical = (address: bigint): boolean => BigInt.asIntN(48, address) === BigInt.asIntN(64, address)

// BNDCFGU: SDM volume 1, appendix E (MPX). MPX CPUs have 48-bit addresses.
const checkBndcsr = (image: XsaveImage, field: string): void => {
  const view = viewOf(image.component('bndcsr'))
  const bndcfgu = view.getBigUint64(0, true)
  if ((bndcfgu & bndcfguReserved) !== 0n) {
    throw outOfRange(`${field}.bndcfgu`, bndcfgu, `which has reserved bits (${hex(bndcfguReserved)}) set`)
  }
  if (!isCanonical(bndcfgu))
    throw outOfRange(`${field}.bndcfgu`, bndcfgu, 'its base must be a canonical address')
}

/** Limits of AMX palette 1 (CPUID leaf 0x1D): 8 tiles of at most 16 rows of 64 bytes. */
export const palette1 = Object.freeze({ tiles: 8, rows: 16, colsb: 64 })

/** Bytes of XTILECFG, the operand of LDTILECFG: palette, start_row, 8 u16 colsb from 16, 8 u8 rows from 48. */
export const tilecfgOffset = Object.freeze({ palette: 0, startRow: 1, colsb: 16, rows: 48 })

const isTilecfgReserved = (i: number): boolean => (i >= 2 && i < 16) || (i >= 32 && i < 48) || i >= 56

const checkTile = (view: DataView, i: number, field: string): void => {
  const rows = view.getUint8(tilecfgOffset.rows + i)
  const colsb = view.getUint16(tilecfgOffset.colsb + 2 * i, true)
  if (rows > palette1.rows) throw outOfRange(`${field}.rows[${i}]`, rows, `must be in 0..${palette1.rows}`)
  if (colsb > palette1.colsb)
    throw outOfRange(`${field}.colsb[${i}]`, colsb, `must be in 0..${palette1.colsb}`)
  if ((rows === 0) === (colsb === 0)) return
  throw outOfRange(`${field}.rows[${i}]`, rows, `but colsb[${i}] is ${colsb}: both must be 0 or neither`)
}

// XRSTOR does not fault on what LDTILECFG would refuse: it puts XTILECFG to its init state instead (seen on
// Sapphire Rapids; the data is loaded all the same). Loaded would not be what was asked, so it is refused.
const checkTilecfg = (image: XsaveImage, field: string): void => {
  const config = image.component('xtilecfg')
  if (config.every(byte => byte === 0)) return
  if (config[0] !== 1) throw outOfRange(`${field}.palette`, config[0], 'must be 1, or XTILECFG all zero')
  config.forEach((byte, i) => {
    if (byte !== 0 && isTilecfgReserved(i)) throw outOfRange(`${field}[${i}]`, byte, 'must be 0: reserved')
  })
  const view = viewOf(config)
  for (let i = 0; i < palette1.tiles; i++) checkTile(view, i, field)
}

const inUse = ({ layout, xstateBv }: XsaveImage, name: ComponentName): boolean =>
  layout.has(name) && (xstateBv & layout.component(name).mask) !== 0n

const bytesOf = (image: unknown, field: string): Uint8Array => {
  if (XsaveImage.is(image)) return image.bytes
  if (isUint8Array(image)) return image
  throw wrongType(field, image, 'an XsaveImage or a Uint8Array')
}

/**
 * Refuses an image that this layout's task cannot load whole: one on which XRSTOR raises #GP, one that would hurt
 * the process that loads it (a pending x87 exception, no access to its own memory), and one of which a register
 * would not hold what was asked (an FCW bit that always reads 1, an invalid XTILECFG). MXCSR's exception flags are
 * fine, masked or not: they raise nothing by being loaded. A component whose XSTATE_BV bit is clear is not looked
 * at, as XRSTOR does not. What the table does not know is taken on trust.
 * @param field how messages call the image
 * @throws TypeError, RangeError that name the field, its value and the limit
 */
export function validateLoadable(image: XsaveImage | Uint8Array, layout: Layout, field = 'load'): void {
  const seen = imageFrom(bytesOf(image, field), layout, field)
  checkHeader(seen, field)
  checkMxcsr(seen, field)
  if (inUse(seen, 'x87')) checkX87(seen, field)
  if (inUse(seen, 'pkru')) checkPkru(seen, field)
  if (inUse(seen, 'bndcsr')) checkBndcsr(seen, field)
  if (inUse(seen, 'xtilecfg')) checkTilecfg(seen, `${field}.xtilecfg`)
}
