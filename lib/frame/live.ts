/**
 * The frame that waits in the probe process, edited in place. Valid inside its callback only.
 * Every access is bounded; offsets count from the start of the fpstate, in bytes.
 */
import {
  byteLengthOf,
  checkBoolean,
  checkInteger,
  checkRecord,
  isUint8Array,
  outOfRange,
  wrongType,
} from '../errors.ts'
import type { ComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import type { FrameShape } from './abi.ts'
import { checkUnsigned } from './compile.ts'
import type { EditLimits } from './edit.ts'
import { type FieldPlace, type FrameField, frameFields, magic2, magic2Size } from './format.ts'

/** Where a live frame lies; offsets are indices into `bytes` and `view`, which cover the shared memory. */
export interface LivePlace {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** The frame as the kernel wrote it. */
  readonly frame: number
  readonly fpstate: number
  /** The second buffer. */
  readonly spare: number
  /** Address of index 0 in the probe process. */
  readonly base: bigint
  readonly shape: FrameShape
}

const placeOf = (field: FrameField): FieldPlace => {
  if (typeof field === 'string' && Object.hasOwn(frameFields, field)) return frameFields[field]
  throw wrongType('field', field, 'the name of a field')
}

/** The sw bytes of a live frame; the names as in `SwBytes`. */
export class LiveSwBytes {
  readonly #frame: LiveFrame

  constructor(frame: LiveFrame) {
    this.#frame = frame
  }

  get magic1(): number {
    return Number(this.#frame.get('sw.magic1'))
  }
  set magic1(value: number) {
    this.#frame.set('sw.magic1', value)
  }
  get extendedSize(): number {
    return Number(this.#frame.get('sw.extendedSize'))
  }
  set extendedSize(value: number) {
    this.#frame.set('sw.extendedSize', value)
  }
  get xfeatures(): bigint {
    return this.#frame.get('sw.xfeatures')
  }
  set xfeatures(value: bigint) {
    this.#frame.set('sw.xfeatures', value)
  }
  get xstateSize(): number {
    return Number(this.#frame.get('sw.xstateSize'))
  }
  set xstateSize(value: number) {
    this.#frame.set('sw.xstateSize', value)
  }
}

/** A live frame. Every member throws an Error once its callback has returned. */
export class LiveFrame {
  readonly #layout: Layout
  readonly #limits: EditLimits
  #place: LivePlace | null
  #fpstate: number
  #room: number
  #sentBytes: number
  #sw: LiveSwBytes | undefined

  constructor(place: LivePlace, layout: Layout, limits: EditLimits) {
    this.#place = place
    this.#layout = layout
    this.#limits = limits
    this.#fpstate = place.fpstate
    this.#room = limits.inPlaceBytes
    this.#sentBytes = limits.frameBytes
  }

  #alive(): LivePlace {
    if (this.#place === null)
      throw new Error('this frame has gone back to the kernel: it can be used only inside its edit callback')
    return this.#place
  }

  #at(field: string, at: unknown, length: number): number {
    const offset = checkInteger(field, at, 0, 0xffff_ffff)
    if (offset + length > this.#room)
      throw outOfRange(`${field} (end)`, offset + length, `but edits must end by ${this.#room}`)
    return this.#fpstate + offset
  }

  #changed(at: number, length: number): void {
    // Between what the kernel wrote and an edit beyond it lies what earlier frames left.
    if (at > this.#sentBytes) this.#place?.bytes.fill(0, this.#fpstate + this.#sentBytes, this.#fpstate + at)
    this.#sentBytes = Math.max(this.#sentBytes, at + length)
  }

  get layout(): Layout {
    return this.#layout
  }

  get sw(): LiveSwBytes {
    this.#alive()
    this.#sw ??= new LiveSwBytes(this)
    return this.#sw
  }

  /** A field's value. @throws TypeError for a field that does not exist */
  get(field: FrameField): bigint {
    const { view } = this.#alive()
    const place = placeOf(field)
    const at = this.#fpstate + place.at
    if (place.width === 8) return view.getBigUint64(at, true)
    return BigInt(place.width === 4 ? view.getUint32(at, true) : view.getUint16(at, true))
  }

  /** @throws TypeError, RangeError when the value does not fit the field */
  set(field: FrameField, value: number | bigint): void {
    const { view } = this.#alive()
    const place = placeOf(field)
    const number = checkUnsigned(field, value, place.width)
    const at = this.#at(field, place.at, place.width)
    if (place.width === 8) view.setBigUint64(at, number, true)
    else if (place.width === 4) view.setUint32(at, Number(number), true)
    else view.setUint16(at, Number(number), true)
    this.#changed(place.at, place.width)
  }

  get xstateBv(): bigint {
    return this.get('xstateBv')
  }
  set xstateBv(value: bigint) {
    this.set('xstateBv', value)
  }
  get xcompBv(): bigint {
    return this.get('xcompBv')
  }
  set xcompBv(value: bigint) {
    this.set('xcompBv', value)
  }
  get mxcsr(): number {
    return Number(this.get('mxcsr'))
  }
  set mxcsr(value: number) {
    this.set('mxcsr', value)
  }

  /**
   * The fpstate pointer, an address in the probe process: of the XSAVE area, or of the fsave header before it.
   * Setting it moves no bytes.
   */
  get fpstatePointer(): bigint {
    const place = this.#alive()
    const { at, width } = place.shape.fields.fpstate
    const from = place.frame + at
    return width === 8 ? place.view.getBigUint64(from, true) : BigInt(place.view.getUint32(from, true))
  }
  set fpstatePointer(value: bigint) {
    const place = this.#alive()
    const { at, width } = place.shape.fields.fpstate
    const address = checkUnsigned('fpstatePointer', value, width)
    if (width === 8) place.view.setBigUint64(place.frame + at, address, true)
    else place.view.setUint32(place.frame + at, Number(address), true)
  }

  /** A copy of the fsave header of a 32-bit frame; null for 64-bit ones. */
  get fsave(): Uint8Array | null {
    const { bytes, shape } = this.#alive()
    return shape.fsave ? bytes.slice(this.#fpstate - shape.fsaveSize, this.#fpstate) : null
  }

  /** Writes bytes at an offset of the fsave header. @throws RangeError where the frame has none, or beyond it */
  writeFsave(at: number, data: Uint8Array): void {
    const { bytes, shape } = this.#alive()
    if (!isUint8Array(data)) throw wrongType('bytes', data, 'a Uint8Array')
    const offset = checkInteger('at', at, 0, 0xffff_ffff)
    const end = offset + byteLengthOf(data)
    if (end > shape.fsaveSize)
      throw outOfRange(
        'at (end)',
        end,
        `but the fsave header of ${shape.abi} frames ends at ${shape.fsaveSize}`,
      )
    bytes.set(data, this.#fpstate - shape.fsaveSize + offset)
  }

  /** A copy of `length` bytes at an offset. */
  read(at: number, length: number): Uint8Array {
    const { bytes } = this.#alive()
    const count = checkInteger('length', length, 0, 0xffff_ffff)
    const from = this.#at('at', at, count)
    return bytes.slice(from, from + count)
  }

  write(at: number, data: Uint8Array): void {
    const { bytes } = this.#alive()
    if (!isUint8Array(data)) throw wrongType('bytes', data, 'a Uint8Array')
    // The real length: a property of the array may say otherwise.
    const length = byteLengthOf(data)
    bytes.set(data, this.#at('at', at, length))
    this.#changed(at, length)
  }

  fill(at: number, length: number, value: number): void {
    const { bytes } = this.#alive()
    const count = checkInteger('length', length, 0, 0xffff_ffff)
    const from = this.#at('at', at, count)
    bytes.fill(checkInteger('value', value, 0, 255), from, from + count)
    this.#changed(at, count)
  }

  /** A copy of the component's bytes. @throws RangeError when the session's layout lacks it */
  component(name: ComponentName): Uint8Array {
    const { offset, size } = this.#layout.component(name)
    return this.read(offset, size)
  }

  /** Writes a component and sets its bit in XSTATE_BV. For x87, MXCSR between its two ranges stays. */
  setComponent(name: ComponentName, data: Uint8Array): void {
    const placed = this.#layout.component(name)
    if (!isUint8Array(data)) throw wrongType('bytes', data, 'a Uint8Array')
    if (byteLengthOf(data) !== placed.size)
      throw outOfRange('bytes.length', byteLengthOf(data), `must be ${placed.size}, the size of ${name}`)
    for (const range of placed.ranges) {
      const from = range.offset - placed.offset
      this.write(range.offset, data.subarray(from, from + range.size))
    }
    if (this.#layout.xsave) this.xstateBv |= placed.mask
  }

  /** xstate_size, and extended_size as the kernel would write it. MAGIC2 itself stays: see `placeMagic2`. */
  resize(xstateSize: number): void {
    const { trailer } = this.#alive().shape
    const size = checkInteger('xstateSize', xstateSize, 0, 0xffff_ffff - trailer)
    this.sw.xstateSize = size
    this.sw.extendedSize = size + trailer
  }

  /** MAGIC2 where xstate_size says (or `at`), zeros behind it up to the end of the kernel's frame (`clearTail`). */
  placeMagic2(options: { at?: number; clearTail?: boolean } = {}): void {
    const { at, clearTail = false } = checkRecord('placeMagic2', options) as typeof options
    checkBoolean('placeMagic2.clearTail', clearTail)
    const offset = at ?? this.sw.xstateSize
    const { view } = this.#alive()
    view.setUint32(this.#at('magic2.at', offset, magic2Size), magic2, true)
    this.#changed(offset, magic2Size)
    const tail = offset + magic2Size
    const end = Math.min(this.#limits.frameBytes, this.#room)
    if (clearTail && tail < end) this.fill(tail, end - tail, 0)
  }

  /** Copies the fpstate to the session's second buffer, at an offset of it, and points the frame there. */
  move(options: { at?: number } = {}): void {
    const { at = 0 } = checkRecord('move', options) as typeof options
    const place = this.#alive()
    if (this.#fpstate !== place.fpstate) throw outOfRange('move', at, 'but the fpstate was moved already')
    const most = this.#limits.spareBytes - this.#sentBytes
    const target = place.spare + checkInteger('move.at', at, 0, most)
    const { fsaveSize } = place.shape
    place.bytes.copyWithin(target - fsaveSize, this.#fpstate - fsaveSize, this.#fpstate + this.#sentBytes)
    this.#fpstate = target
    this.#room = this.#limits.spareBytes - at
    this.fpstatePointer = place.base + BigInt(target - fsaveSize)
  }

  /** Ends the frame's life. @returns where its fpstate was left, and how many bytes of it were sent */
  revoke(): { readonly fpstate: number; readonly sentBytes: number } {
    this.#place = null
    return { fpstate: this.#fpstate, sentBytes: this.#sentBytes }
  }
}
