/** Checks an edit and brings it down to primitives. Pure; refuses what cannot be done before anything runs. */
import { byteLengthOf, checkInteger, checkRecord, isUint8Array, outOfRange, wrongType } from '../errors.ts'
import { isComponentName } from '../xstate/components.ts'
import type { Layout } from '../xstate/layout.ts'
import { type Abi, type FrameShape, frameShape } from './abi.ts'
import {
  type CompiledEdit,
  type EditLimits,
  type EditOp,
  type PageState,
  type Primitive,
  pageStates,
  type Region,
} from './edit.ts'
import { type FieldPlace, type FrameField, fieldNames, frameFields, magic2, magic2Size } from './format.ts'
import { fsaveFields } from './fsave.ts'
import { changesFormat, gapsOf } from './gaps.ts'

const maxOps = 4096
const pageSize = 4096

/** A value of a field: a number, a bigint or a string such as 0x7. @throws TypeError, RangeError */
export const checkUnsigned = (field: string, value: unknown, width: number): bigint => {
  let number: bigint
  if (typeof value === 'bigint') number = value
  else if (typeof value === 'number' && Number.isSafeInteger(value)) number = BigInt(value)
  else if (typeof value === 'string' && /^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(value))
    number = BigInt(value)
  else throw wrongType(field, value, 'an integer, a bigint or a string of digits (0x… for hexadecimal)')
  const most = (1n << BigInt(8 * width)) - 1n
  if (number < 0n || number > most) throw outOfRange(field, number, `must be in 0x0..0x${most.toString(16)}`)
  return number
}

const checkEditBytes = (field: string, value: unknown): Uint8Array => {
  // A copy: what was checked is what is sent, whatever the caller does with the array meanwhile.
  if (isUint8Array(value)) return Uint8Array.prototype.slice.call(value, 0, byteLengthOf(value))
  if (typeof value !== 'string') throw wrongType(field, value, 'a Uint8Array or hexadecimal digits')
  if (!/^([0-9a-f]{2})*$/i.test(value)) throw outOfRange(field, value, 'must be pairs of hexadecimal digits')
  return Uint8Array.from(value.match(/../g) ?? [], pair => Number.parseInt(pair, 16))
}

/** A field that an operation names, and the region that it lies in. */
interface Field extends FieldPlace {
  readonly region: Region
}

/** Fields of the fpstate by their names, of other regions with the region's name before. */
const fieldsOf = (shape: FrameShape): ReadonlyMap<string, Field> => {
  const fields = new Map<string, Field>()
  const add = (region: Region, prefix: string, places: Readonly<Record<string, FieldPlace>>): void => {
    for (const [key, { at, width }] of Object.entries(places)) fields.set(prefix + key, { region, at, width })
  }
  add('area', '', frameFields)
  if (shape.fsave) add('fsave', 'fsave.', fsaveFields)
  add('head', 'head.', shape.fields)
  return fields
}

const fieldsByAbi = new Map<Abi, ReadonlyMap<string, Field>>()

const checkField = (field: string, value: unknown, shape: FrameShape): Field => {
  let fields = fieldsByAbi.get(shape.abi)
  if (fields === undefined) {
    fields = fieldsOf(shape)
    fieldsByAbi.set(shape.abi, fields)
  }
  if (typeof value !== 'string') throw wrongType(field, value, 'the name of a field')
  const found = fields.get(value)
  if (found !== undefined) return found
  const others = shape.fsave ? `fsave.<${Object.keys(fsaveFields).join('|')}> ` : ''
  throw outOfRange(
    field,
    value,
    `must be one of ${fieldNames.join(' ')} ${others}or head.<${Object.keys(shape.fields).join('|')}>`,
  )
}

const wideBytes = new Uint8Array(8)
const wide = new DataView(wideBytes.buffer)

/** The little-endian bytes of an unsigned. */
export const littleEndian = (value: bigint, width: number): Uint8Array => {
  wide.setBigUint64(0, value, true)
  return wideBytes.slice(0, width)
}

/** One byte of an and, or or xor. */
export const combineByte = (code: 'and' | 'or' | 'xor', old: number, byte: number): number =>
  code === 'and' ? old & byte : code === 'or' ? old | byte : old ^ byte

const sizeField = frameFields['sw.xstateSize']

const areaField = (name: FrameField): Field => ({ region: 'area', ...frameFields[name] })

/** Where in the head each part of the frame that it was recorded from ends. */
const partEnds = ({ recorded }: FrameShape): number[] => {
  let end = 0
  return recorded.map(({ size }) => {
    end += size
    return end
  })
}

/** Turns operations into primitives, one after the other, knowing what the earlier ones have done. */
class Compiler {
  readonly primitives: Primitive[] = []
  /** Where among the primitives the frame had `from` bytes, and nothing known behind them. */
  #gap: { readonly index: number; readonly from: number }
  readonly #layout: Layout
  readonly #limits: EditLimits
  readonly #shape: FrameShape
  #sentBytes: number
  #room: number
  /** Where in the second buffer the fpstate lies, once it was moved there. */
  #movedTo: number | null = null
  /** Pages of it whose contents cannot be had any more. */
  readonly #taken: { readonly first: number; readonly end: number }[] = []
  #isolated = false
  /** Components may be read from elsewhere than the standard format has them. */
  #readsAll = false
  // The frame's xstate_size at this point: what the kernel writes is known, so every edit of it is too.
  readonly #size: Uint8Array

  constructor(layout: Layout, limits: EditLimits, shape: FrameShape) {
    this.#layout = layout
    this.#limits = limits
    this.#shape = shape
    this.#sentBytes = limits.frameBytes
    this.#gap = { index: 0, from: limits.frameBytes }
    this.#room = limits.inPlaceBytes
    this.#size = littleEndian(BigInt(layout.xsave ? layout.size : 0), sizeField.width)
  }

  /**
   * Behind what the kernel wrote, and behind what was moved, lies what earlier frames left. Where an edit reaches
   * further, the gap is cleared first, so that the same edit always sends the same bytes.
   */
  #clearGap(): void {
    const { index, from } = this.#gap
    const length = this.#sentBytes - from
    if (length > 0) this.primitives.splice(index, 0, { code: 'fill', at: from, length, value: 0 })
  }

  /**
   * The kernel writes around what no component has: where an edit leads it to read there, that is cleared first, too.
   */
  #clearBetween(): void {
    const size = this.#xstateSize
    const read = gapsOf(this.#layout).filter(
      gap => this.#readsAll || (size < gap.offset + gap.size && size + magic2Size > gap.offset),
    )
    if (read.length > 0)
      this.primitives.unshift(
        ...read.map(({ offset, size }) => ({ code: 'fill' as const, at: offset, length: size, value: 0 })),
      )
  }

  finish(): CompiledEdit {
    this.#clearGap()
    if (this.#layout.xsave) this.#clearBetween()
    return { primitives: this.primitives, sentBytes: this.#sentBytes, isolated: this.#isolated }
  }

  get #xstateSize(): number {
    const [a, b, c, d] = this.#size as unknown as readonly [number, number, number, number]
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0
  }

  #reach(field: string, at: number, length: number): void {
    if (changesFormat(at, length)) this.#readsAll = true
    if (at + length > this.#room) {
      const where = this.#movedTo !== null ? 'of the second buffer' : 'in place'
      throw outOfRange(field, at + length, `but edits ${where} must end by ${this.#room}`)
    }
    this.#sentBytes = Math.max(this.#sentBytes, at + length)
  }

  write(field: string, at: number, bytes: Uint8Array): void {
    this.#reach(`${field} (end)`, at, bytes.length)
    if (bytes.length === 0) return
    this.primitives.push({ code: 'write', at, bytes })
    for (let i = 0; i < sizeField.width; i++) {
      const byte = bytes[sizeField.at + i - at]
      if (byte !== undefined) this.#size[i] = byte
    }
  }

  fill(field: string, at: number, length: number, value: number): void {
    this.#reach(`${field} (end)`, at, length)
    if (length === 0) return
    this.primitives.push({ code: 'fill', at, length, value })
    for (let i = 0; i < sizeField.width; i++) {
      const offset = sizeField.at + i
      if (offset >= at && offset < at + length) this.#size[i] = value
    }
  }

  /** Bytes below the fpstate. What lies there decides how the process goes on: it may not. */
  #below(field: string, region: Region, at: number, length: number): void {
    const size = region === 'head' ? this.#shape.headBytes : this.#shape.fsaveSize
    if (at + length > size)
      throw outOfRange(`${field} (end)`, at + length, `but the ${region} ends at ${size}`)
    if (region === 'head') this.#isolated = true
  }

  writeIn(field: string, region: unknown, at: number, bytes: Uint8Array): void {
    if (region === undefined || region === 'area') {
      this.write(field, at, bytes)
      return
    }
    if (region !== 'head' && region !== 'fsave')
      throw wrongType(`${field}.region`, region, 'one of area fsave head')
    this.#below(field, region, at, bytes.length)
    // What the head's record has side by side need not be so in the frame.
    const cuts = region === 'head' ? partEnds(this.#shape) : [Number.POSITIVE_INFINITY]
    let from = at
    for (const cut of cuts) {
      const end = Math.min(cut, at + bytes.length)
      if (end <= from) continue
      this.primitives.push({ code: 'write', at: from, bytes: bytes.slice(from - at, end - at), region })
      from = end
    }
  }

  combine(path: string, code: 'and' | 'or' | 'xor', field: Field, value: bigint): void {
    const { at, width, region } = field
    if (region !== 'area') {
      this.#below(path, region, at, width)
      this.primitives.push({ code, at, length: width, value, region })
      return
    }
    this.#reach(`${path} (end)`, at, width)
    this.primitives.push({ code, at, length: width, value })
    // Fields do not overlap: only xstate_size itself changes what is known of it.
    if (at !== sizeField.at) return
    littleEndian(value, width).forEach((byte, i) => {
      this.#size[i] = combineByte(code, this.#size[i] as number, byte)
    })
  }

  set(path: string, { region, at, width }: Field, value: bigint): void {
    this.writeIn(path, region, at, littleEndian(value, width))
  }

  component(field: string, name: unknown, value: unknown): void {
    if (!isComponentName(name)) throw wrongType(`${field}.name`, name, 'the name of a component')
    const placed = this.#layout.component(name, `${field}.name`)
    const bytes = checkEditBytes(`${field}.bytes`, value)
    if (bytes.length !== placed.size)
      throw outOfRange(`${field}.bytes.length`, bytes.length, `must be ${placed.size}, the size of ${name}`)
    for (const range of placed.ranges) {
      const from = range.offset - placed.offset
      this.write(field, range.offset, bytes.subarray(from, from + range.size))
    }
    if (this.#layout.xsave) this.combine(field, 'or', areaField('xstateBv'), placed.mask)
  }

  resize(field: string, xstateSize: unknown): void {
    const size = checkInteger(`${field}.xstateSize`, xstateSize, 0, 0xffff_ffff - this.#shape.trailer)
    this.set(field, areaField('sw.xstateSize'), BigInt(size))
    this.set(field, areaField('sw.extendedSize'), BigInt(size + this.#shape.trailer))
  }

  placeMagic2(field: string, at: unknown, clearTail: unknown): void {
    if (clearTail !== undefined && typeof clearTail !== 'boolean')
      throw wrongType(`${field}.clearTail`, clearTail, 'a boolean')
    const offset = at === undefined ? this.#xstateSize : checkInteger(`${field}.at`, at, 0, this.#room)
    this.write(`${field}.at`, offset, littleEndian(BigInt(magic2), magic2Size))
    const tail = offset + magic2Size
    const end = Math.min(this.#limits.frameBytes, this.#room)
    if (clearTail === true && tail < end) this.fill(field, tail, end - tail, 0)
  }

  move(field: string, op: Readonly<Record<string, unknown>>): void {
    if (this.#movedTo !== null) throw outOfRange(field, 'move', 'but this edit has moved the fpstate already')
    const { spareBytes } = this.#limits
    if (op.guardAt !== undefined && op.at !== undefined)
      throw outOfRange(`${field}.at`, op.at, 'but guardAt is given too: only one of them can hold')
    const at =
      op.guardAt === undefined
        ? checkInteger(`${field}.at`, op.at ?? 0, 0, spareBytes - 1)
        : spareBytes - checkInteger(`${field}.guardAt`, op.guardAt, 1, spareBytes)
    const room = spareBytes - at
    // Before an unreadable page less may have room than the kernel wrote: the rest is left behind.
    if (op.guardAt === undefined && room < this.#sentBytes)
      throw outOfRange(
        `${field}.at`,
        at,
        `must be at most ${spareBytes - this.#sentBytes}: the frame has to fit`,
      )
    const length = Math.min(this.#sentBytes, room)
    this.#clearGap()
    this.primitives.push({ code: 'move', at, length })
    this.#gap = { index: this.primitives.length, from: length }
    this.#movedTo = at
    this.#room = room
    this.#sentBytes = length
  }

  pointer(field: string, op: Readonly<Record<string, unknown>>): void {
    if ((op.address === undefined) === (op.by === undefined))
      throw wrongType(field, op, 'an operation with either address or by')
    if (op.address !== undefined) {
      const { width } = this.#shape.fields.fpstate
      this.primitives.push({ code: 'pointer', value: checkUnsigned(`${field}.address`, op.address, width) })
    } else {
      const by = checkInteger(`${field}.by`, op.by, -(2 ** 31), 2 ** 31)
      this.#readsAll = true
      this.primitives.push({ code: 'offset', value: BigInt.asUintN(64, BigInt(by)) })
    }
  }

  pages(field: string, op: Readonly<Record<string, unknown>>): void {
    if (this.#movedTo === null)
      throw outOfRange(
        field,
        'pages',
        'but the frame lies on the stack of the process itself: move it to the second buffer first',
      )
    const at = checkInteger(`${field}.at`, op.at, 0, this.#room - 1)
    const length = checkInteger(`${field}.length`, op.length, 1, this.#room - at)
    if (!pageStates.includes(op.state as PageState))
      throw wrongType(`${field}.state`, op.state, `one of ${pageStates.join(' ')}`)
    const first = Math.floor((this.#movedTo + at) / pageSize)
    const end = Math.ceil((this.#movedTo + at + length) / pageSize)
    if (op.state === 'late' && this.#taken.some(taken => taken.first < end && taken.end > first))
      throw outOfRange(`${field}.state`, op.state, 'but an earlier operation has taken these pages away')
    if (op.state === 'hole' || op.state === 'unreadable') this.#taken.push({ first, end })
    this.#isolated = true
    this.primitives.push({ code: 'pages', at, length, state: op.state as PageState })
  }
}

/** What each operation may say: a misspelt `clearTail` must not pass for none. */
const opKeys: Readonly<Record<string, readonly string[]>> = {
  write: ['at', 'bytes', 'region'],
  set: ['field', 'value'],
  and: ['field', 'value'],
  or: ['field', 'value'],
  xor: ['field', 'value'],
  fill: ['at', 'length', 'value'],
  component: ['name', 'bytes'],
  resize: ['xstateSize'],
  magic2: ['at', 'clearTail'],
  move: ['at', 'guardAt'],
  pointer: ['address', 'by'],
  pages: ['at', 'length', 'state'],
}

const checkKeys = (op: Readonly<Record<string, unknown>>, field: string): void => {
  const known = typeof op.op === 'string' && Object.hasOwn(opKeys, op.op) ? opKeys[op.op] : undefined
  if (known === undefined) return
  for (const key of Object.keys(op)) {
    if (key !== 'op' && !known.includes(key))
      throw outOfRange(`${field}.${key}`, op[key], `but ${op.op} has only ${known.join(' ')}`)
  }
}

const compileOp = (compiler: Compiler, value: unknown, field: string, shape: FrameShape): void => {
  const op = checkRecord(field, value)
  checkKeys(op, field)
  switch (op.op) {
    case 'write': {
      const at = checkInteger(`${field}.at`, op.at, 0, 0xffff_ffff)
      compiler.writeIn(field, op.region, at, checkEditBytes(`${field}.bytes`, op.bytes))
      return
    }
    case 'set':
    case 'and':
    case 'or':
    case 'xor': {
      const found = checkField(`${field}.field`, op.field, shape)
      const number = checkUnsigned(`${field}.value`, op.value, found.width)
      if (op.op === 'set') compiler.set(field, found, number)
      else compiler.combine(`${field}.field`, op.op, found, number)
      return
    }
    case 'fill': {
      const at = checkInteger(`${field}.at`, op.at, 0, 0xffff_ffff)
      const length = checkInteger(`${field}.length`, op.length, 0, 0xffff_ffff)
      compiler.fill(field, at, length, checkInteger(`${field}.value`, op.value, 0, 255))
      return
    }
    case 'component':
      compiler.component(field, op.name, op.bytes)
      return
    case 'resize':
      compiler.resize(field, op.xstateSize)
      return
    case 'magic2':
      compiler.placeMagic2(field, op.at, op.clearTail)
      return
    case 'move':
      compiler.move(field, op)
      return
    case 'pointer':
      compiler.pointer(field, op)
      return
    case 'pages':
      compiler.pages(field, op)
      return
    default:
      throw typeof op.op === 'string'
        ? outOfRange(`${field}.op`, op.op, `must be one of ${Object.keys(opKeys).join(' ')}`)
        : wrongType(`${field}.op`, op.op, 'a string')
  }
}

/**
 * Checks an edit against a layout and limits.
 * @param field how messages call the list: `edit[2].at is …`
 * @throws TypeError, RangeError that name the operation, the field, the value and the limit
 */
export const compileEdit = (
  edit: readonly EditOp[],
  layout: Layout,
  limits: EditLimits,
  field = 'edit',
  abi: Abi = 'x86_64',
): CompiledEdit => {
  if (!Array.isArray(edit)) throw wrongType(field, edit, 'an array of operations')
  if (edit.length > maxOps) throw outOfRange(`${field}.length`, edit.length, `must be at most ${maxOps}`)
  const shape = frameShape(abi)
  const compiler = new Compiler(layout, limits, shape)
  edit.forEach((op, i) => {
    compileOp(compiler, op, `${field}[${i}]`, shape)
  })
  return compiler.finish()
}
