import fc from 'fast-check'
import { type Abi, type FrameShape, frameShape, type HeadField } from '../../lib/frame/abi.ts'
import type { EditField, EditLimits, EditOp } from '../../lib/frame/edit.ts'
import { type FieldPlace, type FrameField, fieldNames, frameFields } from '../../lib/frame/format.ts'
import { type FsaveField, fsaveFields } from '../../lib/frame/fsave.ts'
import type { Layout } from '../../lib/xstate/layout.ts'

const wideFields = fieldNames.filter(name => frameFields[name].width > 2)

const anyValueOf = ({ width }: FieldPlace): fc.Arbitrary<bigint> =>
  fc.bigInt(0n, (1n << BigInt(8 * width)) - 1n)

/** The same number in every form that a field takes. */
const anyForm = (value: bigint): fc.Arbitrary<number | bigint | string> =>
  fc.constantFrom(
    value,
    `0x${value.toString(16)}`,
    `${value}`,
    ...(value <= BigInt(Number.MAX_SAFE_INTEGER) ? [Number(value)] : []),
  )

const withValue = <Op extends 'set' | 'and' | 'or' | 'xor'>(
  op: fc.Arbitrary<Op>,
  fields: readonly FrameField[],
) =>
  fc.record({ op, field: fc.constantFrom(...fields) }).chain(({ op, field }) =>
    anyValueOf(frameFields[field])
      .chain(anyForm)
      .map(value => ({ op, field, value })),
  )

/** A place near what matters: the fields, the end of the kernel's frame, the end of what may be edited. */
const anyOffset = ({ frameBytes, inPlaceBytes }: EditLimits): fc.Arbitrary<number> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0, max: frameBytes }) },
    { weight: 2, arbitrary: fc.integer({ min: 440, max: 600 }) },
    { weight: 1, arbitrary: fc.integer({ min: frameBytes - 8, max: frameBytes + 64 }) },
    { weight: 1, arbitrary: fc.integer({ min: inPlaceBytes - 80, max: inPlaceBytes - 64 }) },
  )

/** What edits the bytes of an fpstate; all of it within the limits. */
export const anyByteOp = (layout: Layout, limits: EditLimits): fc.Arbitrary<EditOp> => {
  const at = anyOffset(limits)
  const bytes = fc.uint8Array({ maxLength: 64 })
  return fc.oneof(
    fc.record({ op: fc.constant('write' as const), at, bytes }),
    fc.record({
      op: fc.constant('write' as const),
      at,
      bytes: bytes.map(b => Buffer.from(b).toString('hex')),
    }),
    withValue(fc.constant('set' as const), fieldNames),
    withValue(fc.constantFrom('and' as const, 'or' as const, 'xor' as const), wideFields),
    fc.record({
      op: fc.constant('fill' as const),
      at,
      length: fc.nat(64),
      value: fc.nat(255),
    }),
    fc
      .constantFrom(...layout.components)
      .chain(({ name, size }) =>
        fc
          .uint8Array({ minLength: size, maxLength: size })
          .map(bytes => ({ op: 'component' as const, name, bytes })),
      ),
    fc.integer({ min: 0, max: limits.frameBytes }).map(xstateSize => ({ op: 'resize' as const, xstateSize })),
    fc.record({ op: fc.constant('magic2' as const), at, clearTail: fc.boolean() }),
  )
}

const anyPointerOp = ({ fields }: FrameShape): fc.Arbitrary<EditOp> => {
  const bits = BigInt(8 * fields.fpstate.width)
  return fc.oneof(
    fc.integer({ min: -4096, max: 4096 }).map(by => ({ op: 'pointer' as const, by })),
    fc
      .constantFrom(0n, 8n, 1n << (bits - 1n), (1n << bits) - 64n)
      .map(address => ({ op: 'pointer' as const, address })),
  )
}

/** Fields of the head that nothing is decided by: what they held before the signal is not used after it. */
const harmlessFields: readonly HeadField[] = [
  ...(['rax', 'rcx', 'rdx', 'rsi', 'rdi', 'rbp', 'err', 'trapno', 'cr2'] as const),
  ...(['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'ucLink', 'sig', 'pinfo', 'puc'] as const),
]

interface Place extends FieldPlace {
  readonly field: EditField
}

/** Edits of what lies below the fpstate that change nothing but what is restored of x87. */
const anyBelowOp = (shape: FrameShape): fc.Arbitrary<EditOp> => {
  const head = harmlessFields.flatMap((name): Place[] => {
    const place = shape.fields[name]
    return place === undefined ? [] : [{ field: `head.${name}`, ...place }]
  })
  const fsave = (Object.keys(fsaveFields) as FsaveField[]).map(
    (name): Place => ({ field: `fsave.${name}`, ...fsaveFields[name] }),
  )
  const inField = fc
    .record({
      op: fc.constantFrom('set' as const, 'and' as const, 'or' as const, 'xor' as const),
      place: fc.constantFrom(...head, ...(shape.fsave ? fsave : [])),
    })
    .chain(({ op, place }) =>
      anyValueOf(place)
        .chain(anyForm)
        .map(value => ({ op: place.width === 2 ? 'set' : op, field: place.field, value })),
    )
  if (!shape.fsave) return inField
  const inFsave = fc.nat(shape.fsaveSize).chain(at =>
    fc.uint8Array({ maxLength: shape.fsaveSize - at }).map(bytes => ({
      op: 'write' as const,
      region: 'fsave' as const,
      at,
      bytes,
    })),
  )
  return fc.oneof(inField, inFsave)
}

/** The same of the fsave header alone, which callbacks can edit too. */
const anyFsaveOp = (shape: FrameShape): fc.Arbitrary<EditOp> =>
  fc
    .nat(shape.fsaveSize - 1)
    .chain(at =>
      fc
        .uint8Array({ minLength: 1, maxLength: Math.min(24, shape.fsaveSize - at) })
        .map(bytes => ({ op: 'write' as const, region: 'fsave' as const, at, bytes })),
    )

export interface AnyEditOptions {
  /** Whether the fpstate may go to the second buffer. */
  readonly moves?: 'at' | 'at or guardAt'
  /** Whether the pointer may be edited. */
  readonly pointers?: boolean
  /** Whether what lies below the fpstate may be: all of it, or what callbacks can edit of it. */
  readonly below?: 'all' | 'fsave'
  /** Whose frames; x86_64 if left out. */
  readonly abi?: Abi
}

/** Lists of operations that compile: the move, if any, has room for what was edited before it. */
export const anyEdit = (
  layout: Layout,
  limits: EditLimits,
  options: AnyEditOptions = {},
): fc.Arbitrary<EditOp[]> => {
  const { moves, pointers = false, below } = options
  const shape = frameShape(options.abi ?? 'x86_64')
  // What was edited in place has to fit the second buffer.
  const reach = Math.min(limits.inPlaceBytes, limits.spareBytes)
  const inArea = anyByteOp(layout, { ...limits, inPlaceBytes: reach })
  const elsewhere =
    below === 'all' ? [anyBelowOp(shape)] : below === 'fsave' && shape.fsave ? [anyFsaveOp(shape)] : []
  const some = fc.array(fc.oneof(inArea, ...elsewhere), { maxLength: 12 })
  const at = fc
    .oneof(fc.constant(0), fc.integer({ min: 0, max: limits.spareBytes - reach }))
    .map((at): EditOp[] => [{ op: 'move', at: at & ~63 }])
  const guardAt = fc
    .integer({ min: reach, max: limits.spareBytes })
    .map((guardAt): EditOp[] => [{ op: 'move', guardAt }])
  const none = fc.constant<EditOp[]>([])
  const move = moves === undefined ? none : moves === 'at' ? fc.oneof(none, at) : fc.oneof(none, at, guardAt)
  const pointer: fc.Arbitrary<EditOp[]> = pointers
    ? fc.array(anyPointerOp(shape), { maxLength: 2 })
    : fc.constant([])
  return fc.tuple(some, move, some, pointer).map(lists => lists.flat())
}
