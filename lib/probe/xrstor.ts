/**
 * Questions to the CPU: what XRSTOR or FXRSTOR makes of bytes in user mode, whatever they are. Here they are checked, put
 * into the arena, and their answers read, whatever the process wrote.
 */
import {
  byteLengthOf,
  checkInteger,
  checkRecord,
  checkU64,
  isUint8Array,
  outOfRange,
  wrongType,
} from '../errors.ts'
import type { HostCpu } from '../xstate/host.ts'
import { fieldOffset } from '../xstate/image.ts'
import { minXsaveSize } from '../xstate/layout.ts'
import type { Arena } from './arena.ts'
import type { Handed, ProbeProcess } from './process.ts'
import { type ImageSource, type PlacedImage, placedImage, type RequestContext } from './request.ts'
import { signalName } from './result.ts'

const instructions = ['xrstor', 'fxrstor'] as const

/** What is asked: the registers are filled from `before`, then the instruction is executed on `bytes`. */
export interface XrstorAsk {
  /**
   * The area, at most `layout.size` bytes; what is missing is zero. Nothing of it is checked but that it does not close
   * protection key 0. What a mask beyond the layout's features loads from behind it is left to chance.
   */
  readonly bytes: Uint8Array
  /** The requested-feature bitmap, EDX:EAX. FXRSTOR has none. */
  readonly mask: bigint
  /** `xrstor` if left out, which a host without XSAVE does not have. */
  readonly instruction?: (typeof instructions)[number]
  /** Where the bytes lie: so many behind an address that is divisible by 64; 0..63, 0 if left out. */
  readonly misalignedBy?: number
  /**
   * How many of the bytes can be read: they lie right before a page that cannot be. From 1 on; all of them, and the
   * layout's size, if left out. It says where they lie, too, so it goes without `misalignedBy`.
   */
  readonly endsAt?: number
  /** What the registers hold before; a random image if left out. */
  readonly before?: ImageSource
}

/**
 * What came of it: the registers after it as XSAVE (FXSAVE without it) saves them, a copy; or the signal that its fault
 * became (#GP: SIGSEGV with SI_KERNEL, 128; #PF: SIGSEGV with SEGV_ACCERR, 2); or nothing, where the probe process was lost and replaced.
 */
export type XrstorAnswer =
  | { readonly kind: 'loaded'; readonly after: Uint8Array }
  | { readonly kind: 'fault'; readonly signal: string; readonly siCode: number }
  | { readonly kind: 'lost' }

/** A question as it goes to the process. */
export interface CheckedAsk {
  /** The caller's own: nothing here rests on what they hold. */
  readonly bytes: Uint8Array
  readonly mask: bigint
  readonly fxrstor: boolean
  readonly misalignedBy: number
  /** 0: nothing is in the way. */
  readonly endsAt: number
  readonly before: PlacedImage
}

const askFields = new Set(['bytes', 'mask', 'instruction', 'misalignedBy', 'endsAt', 'before'])
const pkruIndex = 9
const mostMisaligned = 63
const line = 64

const bitOf = (bytes: Uint8Array, offset: number, bit: number): boolean =>
  (((bytes[offset + (bit >> 3)] ?? 0) >> (bit & 7)) & 1) === 1

/** Where the compacted format has PKRU: SDM volume 1, 13.4.3. Components that nobody knows earn a fault anyway. */
const compactedPkru = (bytes: Uint8Array, cpu: HostCpu): number =>
  cpu.components
    .filter(({ index }) => index < pkruIndex && bitOf(bytes, fieldOffset.xcompBv, index))
    .reduce(
      (end, { size, alignedCompacted }) => (alignedCompacted ? Math.ceil(end / line) * line : end) + size,
      minXsaveSize,
    )

/** Where the PKRU lies that XRSTOR may load of these bytes; undefined where it loads none. */
const pkruAt = (bytes: Uint8Array, mask: bigint, cpu: HostCpu): number | undefined => {
  if (!bitOf(bytes, fieldOffset.xstateBv, pkruIndex) || ((mask >> BigInt(pkruIndex)) & 1n) === 0n)
    return undefined
  const pkru = cpu.components.find(({ index }) => index === pkruIndex)
  if (pkru === undefined || ((cpu.xcr0 >> BigInt(pkruIndex)) & 1n) === 0n) return undefined
  if (!bitOf(bytes, fieldOffset.xcompBv, 63)) return pkru.offset
  if (!bitOf(bytes, fieldOffset.xcompBv, pkruIndex)) return undefined
  const end = compactedPkru(bytes, cpu)
  return pkru.alignedCompacted ? Math.ceil(end / line) * line : end
}

/** With key 0 closed the process could not even save its registers. */
const checkPkru = (field: string, bytes: Uint8Array, mask: bigint, cpu: HostCpu): void => {
  const at = pkruAt(bytes, mask, cpu)
  if (at === undefined || ((bytes[at] ?? 0) & 3) === 0) return
  throw outOfRange(
    `${field}[${at}]`,
    bytes[at],
    'must have bits 0 and 1 clear: PKRU’s key 0 is the key of the process’s own memory',
  )
}

const checkArea = (field: string, value: unknown, most: number): Uint8Array => {
  if (!isUint8Array(value)) throw wrongType(field, value, 'a Uint8Array')
  const length = byteLengthOf(value)
  if (length > most) throw outOfRange(`${field}.length`, length, `must be in 0..${most}`)
  return value
}

const isFxrstor = (field: string, value: unknown, xsave: boolean): boolean => {
  if (value === 'fxrstor') return true
  if (value !== undefined && value !== 'xrstor')
    throw typeof value === 'string'
      ? outOfRange(field, value, `must be one of ${instructions.join(' ')}`)
      : wrongType(field, value, 'a string')
  if (!xsave) throw outOfRange(field, value ?? 'xrstor', 'but this host has no XSAVE: ask for fxrstor')
  return false
}

const checkAsk = (field: string, value: unknown, cpu: HostCpu, context: RequestContext): CheckedAsk => {
  const record = checkRecord(field, value)
  for (const key of Object.keys(record)) {
    if (!askFields.has(key))
      throw outOfRange(`${field}.${key}`, record[key], `but it can have only ${[...askFields].join(' ')}`)
  }
  const { instruction, misalignedBy, endsAt, before } = record
  const { layout } = context
  const bytes = checkArea(`${field}.bytes`, record.bytes, layout.size)
  const mask = checkU64(`${field}.mask`, record.mask)
  const fxrstor = isFxrstor(`${field}.instruction`, instruction, layout.xsave)
  if (endsAt !== undefined && misalignedBy !== undefined)
    throw outOfRange(
      `${field}.misalignedBy`,
      misalignedBy,
      'but endsAt is given: it says where the bytes lie',
    )
  if (!fxrstor) checkPkru(`${field}.bytes`, bytes, mask, cpu)
  return {
    bytes,
    mask,
    fxrstor,
    misalignedBy:
      misalignedBy === undefined ? 0 : checkInteger(`${field}.misalignedBy`, misalignedBy, 0, mostMisaligned),
    endsAt: endsAt === undefined ? 0 : checkInteger(`${field}.endsAt`, endsAt, 1, layout.size),
    before: before === undefined ? context.nextPoison() : placedImage(before, context, `${field}.before`),
  }
}

/** @throws TypeError, RangeError that name the field, the value and the limit; nothing has been asked then */
export const checkAsks = (asks: unknown, cpu: HostCpu, context: RequestContext): CheckedAsk[] => {
  if (!Array.isArray(asks)) throw wrongType('asks', asks, 'an array of questions')
  return Array.from(asks, (ask: unknown, i) => checkAsk(`asks[${i}]`, ask, cpu, context))
}

/**
 * Describes a ring slot as this question. The bytes lie where the frame of a probe would be recorded as written: there
 * is room for a head, an area, and a cache line more.
 * @param before arena offset of the image
 */
export const putAsk = (arena: Arena, sequence: number, ask: CheckedAsk, before: number): void => {
  const { words, constants } = arena
  const { request: field } = constants
  const record = arena.recordAt(sequence) + arena.plan.written
  const from = arena.index(record + ask.misalignedBy)
  const length = byteLengthOf(ask.bytes)
  arena.bytes.set(ask.bytes, from)
  arena.bytes.fill(0, from + length, arena.index(record + arena.plan.after))
  const at = arena.requestAt(sequence)
  words[at + field.kind] = constants.xrstor
  words[at + field.flags] =
    (ask.fxrstor ? constants.requestFxrstor : 0) | (ask.endsAt > 0 ? constants.requestGuarded : 0)
  words[at + field.sentBytes] = ask.endsAt
  words[at + field.load] = record + ask.misalignedBy
  words[at + field.poison] = before
  words[at + field.mask] = Number(ask.mask & 0xffff_ffffn)
  words[at + field.mask + 1] = Number(ask.mask >> 32n)
}

/** What the process tells of a question. */
export const readAnswer = (
  process: ProbeProcess,
  handed: Handed,
  i: number,
  areaBytes: number,
): XrstorAnswer => {
  const { arena } = process
  const ending = process.ending(handed, i)
  if (ending === 'returned') {
    const from = arena.index(arena.recordAt(handed.first + i) + arena.plan.after)
    return { kind: 'loaded', after: arena.bytes.slice(from, from + areaBytes) }
  }
  const { outcome } = arena.constants
  const at = arena.outcomeAt(handed.first + i)
  if (ending === 'signal' && process.signalPlace(handed, i) === 'load')
    return {
      kind: 'fault',
      signal: signalName(arena.words[at + outcome.signal] as number),
      siCode: (arena.words[at + outcome.siCode] as number) | 0,
    }
  throw new Error('the probe process could not make sense of its request: a fault of the harness')
}
