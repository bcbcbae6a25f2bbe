/** What could stand for an operation and do less, the least first: what a shrinker tries. Pure. */
import { type Abi, frameShape } from '../frame/abi.ts'
import { littleEndian } from '../frame/compile.ts'
import type { EditOp } from '../frame/edit.ts'
import { frameFields, magic2Size } from '../frame/format.ts'
import { fsaveFields } from '../frame/fsave.ts'
import { type Layout, legacySize, minXsaveSize } from '../xstate/layout.ts'

type Op<Name extends EditOp['op']> = Extract<EditOp, { readonly op: Name }>
/** Operations that stand for one. */
type Replacement = readonly EditOp[]

const widest = 8
/** Larger pieces are not cut finer than into so many parts: a cut further is tried once this one is made. */
const parts = 16

/** A part of something longer: from here on, so many. */
interface Part {
  readonly from: number
  readonly length: number
}

/** Parts to leave away, the largest first: halves, quarters, down to one. */
function* partsOf(length: number): Generator<Part> {
  const least = Math.max(1, Math.floor(length / parts))
  for (let size = Math.floor(length / 2); size >= least; size = Math.floor(size / 2))
    for (let from = 0; from < length; from += size) yield { from, length: Math.min(size, length - from) }
}

/** What is left when something is taken from either end. */
function* shorterBy(length: number): Generator<Part> {
  for (let cut = Math.floor(length / 2); cut >= 1; cut = Math.floor(cut / 2)) {
    yield { from: 0, length: length - cut }
    yield { from: cut, length: length - cut }
  }
}

/** Numbers from `value` towards `target`, the nearest to it first; neither of the two. */
function* towards(value: number, target: number): Generator<number> {
  const distance = Math.abs(target - value)
  const sign = Math.sign(target - value)
  for (let step = Math.floor(distance / 2); step >= 1; step = Math.floor(step / 2)) yield value + sign * step
}

const bitsOf = (value: bigint): bigint[] =>
  Array.from({ length: 64 }, (_, i) => 1n << BigInt(i)).filter(bit => (value & bit) !== 0n)

/** Values with fewer bits, none at all first. */
function* fewerBits(value: bigint): Generator<bigint> {
  const bits = bitsOf(value)
  if (bits.length === 0) return
  yield 0n
  if (bits.length === 1) return
  for (const bit of bits.length <= widest ? bits : []) yield bit
  for (let size = Math.floor(bits.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let from = 0; from < bits.length; from += size)
      yield bits.slice(from, from + size).reduce((left, bit) => left & ~bit, value)
}

const bytesOf = (value: Uint8Array | string): Uint8Array =>
  typeof value === 'string'
    ? Uint8Array.from(value.match(/../g) ?? [], pair => Number.parseInt(pair, 16))
    : value

const zeroed = (bytes: Uint8Array, { from, length }: Part): Uint8Array =>
  bytes.slice().fill(0, from, from + length)

const numberOf = (bytes: Uint8Array): bigint =>
  bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)

function* simplerBytes(bytes: Uint8Array): Generator<Uint8Array> {
  if (bytes.some(byte => byte !== 0)) yield new Uint8Array(bytes.length)
  if (bytes.length <= widest) {
    for (const value of fewerBits(numberOf(bytes))) yield littleEndian(value, bytes.length)
    return
  }
  for (const part of partsOf(bytes.length)) yield zeroed(bytes, part)
}

function* simplerWrite(op: Op<'write'>): Generator<Replacement> {
  const bytes = bytesOf(op.bytes)
  for (const { from, length } of shorterBy(bytes.length))
    yield [{ ...op, at: op.at + from, bytes: bytes.slice(from, from + length) }]
  for (const simpler of simplerBytes(bytes)) yield [{ ...op, bytes: simpler }]
}

function* simplerFill(op: Op<'fill'>): Generator<Replacement> {
  for (const { from, length } of shorterBy(op.length)) yield [{ ...op, at: op.at + from, length }]
  if (op.value !== 0) yield [{ ...op, value: 0 }]
}

/** A whole component, as a write of one half of it; XSTATE_BV's bit with it, without it, or alone. */
function* simplerComponent(op: Op<'component'>, layout: Layout): Generator<Replacement> {
  const { offset, mask, ranges } = layout.component(op.name)
  const bytes = bytesOf(op.bytes)
  const bit: EditOp = { op: 'or', field: 'xstateBv', value: mask }
  yield [bit]
  const largest = ranges.reduce((most, range) => (range.size > most.size ? range : most))
  const own = bytes.slice(largest.offset - offset, largest.offset - offset + largest.size)
  for (const { from, length } of shorterBy(own.length)) {
    const write: EditOp = { op: 'write', at: largest.offset + from, bytes: own.slice(from, from + length) }
    yield [write]
    yield [write, bit]
  }
}

/** Sizes that kernels compare with. */
const boundariesOf = (layout: Layout): number[] => [
  ...layout.extended.flatMap(({ offset, end }) => [offset, end]),
  ...[legacySize, minXsaveSize - 1, minXsaveSize],
]

/** Sizes nearer to the frame's own: by halves, then what kernels compare with. */
function* nearerSizes(value: number, own: number, layout: Layout): Generator<number> {
  yield* towards(value, own)
  const [low, high] = value < own ? [value, own] : [own, value]
  yield* boundariesOf(layout)
    .filter(size => size > low && size < high)
    .sort((a, b) => Math.abs(a - own) - Math.abs(b - own))
}

const widthOf = (field: string, abi: Abi): number => {
  const fields: Readonly<Record<string, { readonly width: number } | undefined>> = field.startsWith('head.')
    ? frameShape(abi).fields
    : field.startsWith('fsave.')
      ? fsaveFields
      : frameFields
  return fields[field.replace(/^(head|fsave)\./, '')]?.width ?? widest
}

function* simplerSet(op: Op<'set'>, layout: Layout, abi: Abi): Generator<Replacement> {
  const value = BigInt(op.value)
  const isSize = op.field === 'sw.xstateSize' || op.field === 'sw.extendedSize'
  const own = layout.size + (op.field === 'sw.extendedSize' ? frameShape(abi).trailer : 0)
  const values = isSize ? nearerSizes(Number(value), own, layout) : fewerBits(value)
  for (const simpler of values) yield [{ ...op, value: simpler }]
}

function* simplerCombine(op: Op<'and' | 'or' | 'xor'>, abi: Abi): Generator<Replacement> {
  const value = BigInt(op.value)
  const all = BigInt.asUintN(8 * widthOf(op.field, abi), -1n)
  // The bits that it changes; all of them would be as if it were not there.
  const changes = op.op === 'and' ? all & ~value : value
  for (const fewer of fewerBits(changes)) {
    if (fewer !== 0n) yield [{ ...op, value: op.op === 'and' ? all & ~fewer : fewer }]
  }
}

function* simplerResize(op: Op<'resize'>, layout: Layout): Generator<Replacement> {
  for (const xstateSize of nearerSizes(op.xstateSize, layout.size, layout)) yield [{ ...op, xstateSize }]
}

function* simplerMagic2(op: Op<'magic2'>): Generator<Replacement> {
  const { at, clearTail } = op
  if (at !== undefined) yield [clearTail ? { op: 'magic2', clearTail } : { op: 'magic2' }]
  if (clearTail) yield [at === undefined ? { op: 'magic2' } : { op: 'magic2', at }]
}

function* simplerMove(op: Op<'move'>, layout: Layout): Generator<Replacement> {
  const given = op as { readonly at?: number; readonly guardAt?: number }
  if (given.guardAt !== undefined) {
    yield [{ op: 'move' }]
    for (const guardAt of nearerSizes(given.guardAt, layout.size + magic2Size, layout))
      yield [{ op: 'move', guardAt }]
    return
  }
  if (given.at === undefined) return
  yield [{ op: 'move' }]
  for (const at of towards(given.at, 0)) yield [{ op: 'move', at }]
}

function* simplerPointer(op: Op<'pointer'>): Generator<Replacement> {
  if ('address' in op) {
    if (BigInt(op.address) !== 0n) yield [{ op: 'pointer', address: 0n }]
    return
  }
  for (const by of towards(op.by, 0)) yield [{ op: 'pointer', by }]
}

function* simplerPages(op: Op<'pages'>): Generator<Replacement> {
  for (const { from, length } of shorterBy(op.length)) yield [{ ...op, at: op.at + from, length }]
}

/** Replacements for an operation, each of which does less than it. */
export const simplerOps = (op: EditOp, layout: Layout, abi: Abi): Iterable<Replacement> => {
  switch (op.op) {
    case 'write':
      return simplerWrite(op)
    case 'fill':
      return simplerFill(op)
    case 'component':
      return simplerComponent(op, layout)
    case 'set':
      return simplerSet(op, layout, abi)
    case 'and':
    case 'or':
    case 'xor':
      return simplerCombine(op, abi)
    case 'resize':
      return simplerResize(op, layout)
    case 'magic2':
      return simplerMagic2(op)
    case 'move':
      return simplerMove(op, layout)
    case 'pointer':
      return simplerPointer(op)
    case 'pages':
      return simplerPages(op)
  }
}
