/**
 * The fsave header of 32-bit frames: the x87 state as FNSAVE writes it, directly below the XSAVE area that has the
 * same state as FXSAVE writes it. On the return only the header's counts. Sources: `struct _fpstate_32`
 * (arch/x86/include/uapi/asm/sigcontext.h), `convert_from_fxsr` and `convert_to_fxsr`
 * (arch/x86/kernel/fpu/regset.c), `save_fsave_header` (arch/x86/kernel/fpu/signal.c); all as in 64-bit kernels.
 */
import { viewOf } from '../bytes.ts'
import { byteLengthOf, checkBytes, checkInteger, isUint8Array, outOfRange, wrongType } from '../errors.ts'
import { fieldOffset } from '../xstate/image.ts'
import type { FieldPlace } from './format.ts'

/** Bytes of the header: `struct fregs_state`. */
export const fsaveSize = 112

/** Where its fields lie, from its start. */
export const fsaveFields = {
  cw: { at: 0, width: 4 },
  sw: { at: 4, width: 4 },
  /** Two bits for each physical register: 0 valid, 1 zero, 2 special, 3 empty. */
  tag: { at: 8, width: 4 },
  ipoff: { at: 12, width: 4 },
  /** CS in the lower half. The upper one is read as FOP on the return, and 0 as it is delivered: FOP is lost. */
  cssel: { at: 16, width: 4 },
  dataoff: { at: 20, width: 4 },
  datasel: { at: 24, width: 4 },
  /** FSW once more, at the delivery. Not read. */
  status: { at: 108, width: 2 },
  /** X86_FXSR_MAGIC, 0: an FXSAVE image follows. Not read. */
  magic: { at: 110, width: 2 },
} as const satisfies Record<string, FieldPlace>

export type FsaveField = keyof typeof fsaveFields

/** ST0..ST7, 10 bytes each, from `at`. */
export const fsaveSt = Object.freeze({ at: 28, size: 10, count: 8 })

/** A header's fields. */
export interface Fsave {
  readonly cw: number
  readonly sw: number
  readonly tag: number
  readonly ipoff: number
  readonly cssel: number
  readonly dataoff: number
  readonly datasel: number
  /** ST0..ST7: copies. */
  readonly st: readonly Uint8Array[]
  readonly status: number
  readonly magic: number
}

const stAt = (i: number): number => fsaveSt.at + i * fsaveSt.size
const fxStSize = 16
const fxStAt = (i: number): number => fieldOffset.st + i * fxStSize
const fxEnd = fxStAt(fsaveSt.count)

const registers = Array.from({ length: fsaveSt.count }, (_, i) => i)

/** What the header says. @throws TypeError, RangeError when it is not {@link fsaveSize} bytes */
export const readFsave = (bytes: Uint8Array, field = 'fsave'): Fsave => {
  const view = viewOf(checkBytes(field, bytes, fsaveSize))
  const read = (name: FsaveField): number => {
    const { at, width } = fsaveFields[name]
    return width === 2 ? view.getUint16(at, true) : view.getUint32(at, true)
  }
  return Object.freeze({
    cw: read('cw'),
    sw: read('sw'),
    tag: read('tag'),
    ipoff: read('ipoff'),
    cssel: read('cssel'),
    dataoff: read('dataoff'),
    datasel: read('datasel'),
    st: Object.freeze(registers.map(i => Uint8Array.prototype.slice.call(bytes, stAt(i), stAt(i + 1)))),
    status: read('status'),
    magic: read('magic'),
  })
}

const checkArea = (bytes: unknown): Uint8Array => {
  if (!isUint8Array(bytes)) throw wrongType('area', bytes, 'a Uint8Array')
  const length = byteLengthOf(bytes)
  if (length < fxEnd) throw outOfRange('area.length', length, `must be at least ${fxEnd}`)
  return bytes
}

const tagValid = 0
const tagZero = 1
const tagSpecial = 2
const tagEmpty = 3

// Both tag words count physical registers, not ST's: no rotation.
const abridgedTags = (tag: number): number => {
  let bits = 0
  for (let n = 0; n < fsaveSt.count; n++) if (((tag >>> (2 * n)) & 3) !== tagEmpty) bits |= 1 << n
  return bits
}

/**
 * What a 32-bit sigreturn makes of an XSAVE area before it is loaded (`convert_to_fxsr`): the x87 state is the
 * header's. CS and DS are ignored, FIP and FDP have 32 bits. MXCSR, the 6 bytes behind each ST and all the rest stay.
 * @param area an XSAVE area or its legacy region: at least 160 bytes
 * @returns a new array, as long as the area
 * @throws TypeError, RangeError when the area is shorter or the header not {@link fsaveSize} bytes
 */
export const foldFsave = (area: Uint8Array, fsave: Uint8Array): Uint8Array => {
  const folded = new Uint8Array(checkArea(area))
  const from = viewOf(checkBytes('fsave', fsave, fsaveSize))
  const view = viewOf(folded)
  const read = (name: FsaveField): number => from.getUint32(fsaveFields[name].at, true)
  view.setUint16(fieldOffset.fcw, read('cw') & 0xffff, true)
  view.setUint16(fieldOffset.fsw, read('sw') & 0xffff, true)
  // With the reserved byte behind it: the kernel's `twd` is 16 bits wide.
  view.setUint16(fieldOffset.ftw, abridgedTags(read('tag')), true)
  view.setUint16(fieldOffset.fop, read('cssel') >>> 16, true)
  view.setBigUint64(fieldOffset.fip, BigInt(read('ipoff')), true)
  view.setBigUint64(fieldOffset.fdp, BigInt(read('dataoff')), true)
  for (let i = 0; i < fsaveSt.count; i++) {
    const st = stAt(i)
    // 10 bytes: fewer than it takes to make a view of them.
    view.setBigUint64(fxStAt(i), from.getBigUint64(st, true), true)
    view.setUint16(fxStAt(i) + 8, from.getUint16(st + 8, true), true)
  }
  return folded
}

/** Selectors of the interrupted code. */
export interface Segments {
  readonly cs: number
  readonly ds: number
}

const exponentMask = 0x7fff
const integerBit = 1n << 63n

/** The tag of a register that is not empty, told by its content (`twd_fxsr_to_i387`). */
const tagOf = (view: DataView, at: number): number => {
  const significand = view.getBigUint64(at, true)
  const exponent = view.getUint16(at + 8, true) & exponentMask
  if (exponent === exponentMask) return tagSpecial
  if (exponent === 0) return significand === 0n ? tagZero : tagSpecial
  return (significand & integerBit) !== 0n ? tagValid : tagSpecial
}

const fullTags = (view: DataView): number => {
  const top = (view.getUint16(fieldOffset.fsw, true) >>> 11) & 7
  const abridged = view.getUint8(fieldOffset.ftw)
  return registers.reduce((tags, n) => {
    const tag = (abridged >>> n) & 1 ? tagOf(view, fxStAt((n - top) & 7)) : tagEmpty
    return tags | (tag << (2 * n))
  }, 0)
}

const upperHalf = 0xffff_0000

/**
 * The header that the kernel writes at delivery (`convert_from_fxsr`, `save_fsave_header`). FOP is not in it.
 * @param area as FXSAVE or XSAVE wrote it: with the init value where x87 is in its init state, whatever XSTATE_BV
 *   says; at least 160 bytes
 * @throws TypeError, RangeError when the area is shorter or a selector has more than 16 bits
 */
export const fsaveOf = (area: Uint8Array, segments: Segments): Uint8Array => {
  const fx = viewOf(checkArea(area))
  const cs = checkInteger('segments.cs', segments.cs, 0, 0xffff)
  const ds = checkInteger('segments.ds', segments.ds, 0, 0xffff)
  const fsave = new Uint8Array(fsaveSize)
  const view = viewOf(fsave)
  const write = (name: FsaveField, value: number): void => {
    const { at, width } = fsaveFields[name]
    if (width === 2) view.setUint16(at, value, true)
    else view.setUint32(at, value, true)
  }
  const fsw = fx.getUint16(fieldOffset.fsw, true)
  write('cw', fx.getUint16(fieldOffset.fcw, true) | upperHalf)
  write('sw', fsw | upperHalf)
  write('tag', fullTags(fx) | upperHalf)
  write('ipoff', fx.getUint32(fieldOffset.fip, true))
  write('cssel', cs)
  write('dataoff', fx.getUint32(fieldOffset.fdp, true))
  write('datasel', ds | upperHalf)
  for (const i of registers)
    fsave.set(new Uint8Array(fx.buffer, fx.byteOffset + fxStAt(i), fsaveSt.size), stAt(i))
  write('status', fsw)
  return fsave
}
