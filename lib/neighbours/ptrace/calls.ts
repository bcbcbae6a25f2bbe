/** PTRACE_GETREGSET and PTRACE_SETREGSET: what is asked of one call, and what came of it. */
import { byteLengthOf, checkRecord, checkU64, isUint8Array, outOfRange, wrongType } from '../../errors.ts'
import { legacySize } from '../../xstate/layout.ts'

/** The regsets with vector state, by their notes in elf.h: NT_X86_XSTATE, and NT_PRFPREG, the FXSAVE area. */
export const notes = { xstate: 0x202, fp: 2 } as const
export type Note = keyof typeof notes

interface CallBase {
  /** `xstate` if left out. */
  readonly note?: Note
  /** iov_len as it is handed to the kernel, of 64 bits: any, also one that no buffer has. */
  readonly size?: number | bigint
  /** Where the buffer is: in memory, nowhere (`null`), or where nothing can be read or written (`guard`). */
  readonly buffer?: (typeof buffers)[number]
}

/** Reads a regset; all of it if no size is given. */
export interface GetCall extends CallBase {
  readonly call: 'get'
}

/** Sets a regset to these bytes; what the size has more of is zero. Nothing of them is checked. */
export interface SetCall extends CallBase {
  readonly call: 'set'
  readonly bytes: Uint8Array
}

export type RegsetCall = GetCall | SetCall

/** What came of a call. */
export interface CallResult {
  /** EINVAL, EFAULT, ESRCH …; null where it did not fail. */
  readonly errno: string | null
  /** iov_len as the kernel left it. */
  readonly size: bigint
  /** What was read: `size` bytes, as far as there was room. Empty for one that sets, or failed. */
  readonly bytes: Uint8Array
  /** Whether something behind those was written. */
  readonly overran: boolean
}

/** A call that was checked. */
export interface CheckedCall {
  readonly set: boolean
  readonly note: Note
  readonly buffer: (typeof buffers)[number]
  readonly size: bigint
  /** What is set; null for a call that reads. */
  readonly bytes: Uint8Array | null
  /** Bytes that it takes in shared memory. */
  readonly room: number
}

export const buffers = ['arena', 'null', 'guard'] as const

/** Behind what is read: whether it is written shows there. */
export const canaryBytes = 64
/** So much more than the host's largest area can be handed over in fact. */
const beyond = 4096
/** Calls at both stops together: kMostTraceCalls of native/shared/arena.h. */
export const mostCalls = 8

const fields = new Set(['call', 'note', 'size', 'buffer', 'bytes'])

const checkSize = (field: string, value: unknown, otherwise: number): bigint => {
  if (value === undefined) return BigInt(otherwise)
  if (typeof value !== 'number') return checkU64(field, value)
  if (!Number.isSafeInteger(value)) throw wrongType(field, value, 'an integer or a bigint')
  return checkU64(field, BigInt(value))
}

const checkBuffer = (field: string, value: unknown): (typeof buffers)[number] => {
  if (value === undefined) return 'arena'
  const found = buffers.find(one => one === value)
  if (found === undefined) throw wrongType(field, value, `one of ${buffers.join(' ')}`)
  return found
}

const checkNote = (field: string, value: unknown): Note => {
  if (value === undefined || value === 'xstate') return 'xstate'
  if (value === 'fp') return 'fp'
  throw wrongType(field, value, `one of ${Object.keys(notes).join(' ')}`)
}

const checkPayload = (field: string, value: unknown, most: number): Uint8Array => {
  if (!isUint8Array(value)) throw wrongType(field, value, 'a Uint8Array')
  const length = byteLengthOf(value)
  if (length > most) throw outOfRange(`${field}.length`, length, `must be in 0..${most}`)
  // A copy: what was checked is what is set, also when it is used again.
  return Uint8Array.prototype.slice.call(value)
}

const least = (size: bigint, most: number): number => (size < BigInt(most) ? Number(size) : most)

const checkCall = (field: string, value: unknown, areaBytes: number): CheckedCall => {
  const record = checkRecord(field, value)
  for (const key of Object.keys(record)) {
    if (!fields.has(key))
      throw outOfRange(`${field}.${key}`, record[key], `but a call has only ${[...fields].join(' ')}`)
  }
  if (record.call !== 'get' && record.call !== 'set')
    throw wrongType(`${field}.call`, record.call, 'one of get set')
  const set = record.call === 'set'
  if (!set && record.bytes !== undefined)
    throw outOfRange(`${field}.bytes`, record.bytes, 'but this call reads')
  const most = areaBytes + beyond
  const note = checkNote(`${field}.note`, record.note)
  const bytes = set ? checkPayload(`${field}.bytes`, record.bytes, most) : null
  const size = checkSize(
    `${field}.size`,
    record.size,
    bytes?.length ?? (note === 'fp' ? legacySize : areaBytes),
  )
  return {
    set,
    note,
    buffer: checkBuffer(`${field}.buffer`, record.buffer),
    size,
    bytes,
    room: Math.max(least(size, most), bytes?.length ?? 0) + canaryBytes,
  }
}

/**
 * @param areaBytes of the host's largest area in the standard format, rounded up: the regset is no larger
 * @throws TypeError, RangeError that name the field, the value and the limit
 */
export const checkCalls = (field: string, value: unknown, areaBytes: number): readonly CheckedCall[] => {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw wrongType(field, value, 'an array of calls')
  if (value.length > mostCalls)
    throw outOfRange(`${field}.length`, value.length, `must be in 0..${mostCalls}`)
  return Array.from(value, (call: unknown, i) => checkCall(`${field}[${i}]`, call, areaBytes))
}
