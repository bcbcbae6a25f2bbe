/**
 * The errors that refuse bad input. Every message names the field, the value and the limit, and making one
 * never throws and never grows without bound, whatever the value is: what is refused here may come from a
 * hostile file or from another process.
 */

const longestText = 48
const longestField = 120
const longestLimit = 400
const widestBigint = 1n << 128n

const cut = (text: string, longest: number): string =>
  text.length > longest ? `${text.slice(0, longest)}…` : text

const showString = (value: string): string => {
  const shown = JSON.stringify(value.slice(0, longestText))
  return value.length > longestText ? `${shown}… (${value.length} characters)` : shown
}

const showNumber = (value: number): string => (Object.is(value, -0) ? '-0' : String(value))

const showBigint = (value: bigint): string =>
  value >= widestBigint || value <= -widestBigint ? 'a bigint of more than 128 bits' : hex(value)

const showObject = (value: object): string => {
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (isUint8Array(value)) return `a Uint8Array of ${byteLengthOf(value)} bytes`
  return ArrayBuffer.isView(value) ? 'another kind of ArrayBuffer view' : 'an object'
}

const showAny = (value: unknown): string => {
  switch (typeof value) {
    case 'string':
      return showString(value)
    case 'number':
      return showNumber(value)
    case 'bigint':
      return showBigint(value)
    case 'symbol':
      return cut(value.toString(), longestText)
    case 'function':
      return 'a function'
    case 'object':
      return value === null ? 'null' : showObject(value)
    default:
      return String(value)
  }
}

/** A number or bigint as `0x…`, with a sign where negative. Not bounded: for values that were checked. */
export const hex = (value: number | bigint): string =>
  value < 0 ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`

/** Any value as one short line, for a message. Never throws; a bigint is hexadecimal, a number decimal. */
export const show = (value: unknown): string => {
  try {
    return showAny(value)
  } catch {
    // A revoked proxy throws even from Array.isArray.
    return 'an object that cannot be read'
  }
}

/**
 * The error for a value of the right type that is not allowed.
 * @param field what is refused, as the caller knows it: `load.xstateBv`
 * @param value the refused value; pass a bigint to have it shown in hexadecimal
 * @param limit what is allowed, as the end of the sentence: `which has bits outside 0x7`, `must be 0`
 */
export const outOfRange = (field: string, value: unknown, limit: string): RangeError =>
  new RangeError(`${cut(field, longestField)} is ${show(value)}, ${cut(limit, longestLimit)}`)

/**
 * The error for a value of the wrong type.
 * @param expected what it must be, with its article: `a Uint8Array`, `an integer`
 */
export const wrongType = (field: string, value: unknown, expected: string): TypeError =>
  new TypeError(`${cut(field, longestField)} must be ${cut(expected, longestLimit)}, not ${show(value)}`)

/** Whether the value is an integer that a number holds exactly, in min..max. @throws TypeError, RangeError */
export const checkInteger = (field: string, value: unknown, min: number, max: number): number => {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrongType(field, value, 'an integer')
  if (value < min || value > max) throw outOfRange(field, value, `must be in ${min}..${max}`)
  return value
}

const u64Max = (1n << 64n) - 1n

/** The value if it is a bigint in 0..2^64-1. @throws TypeError, RangeError */
export const checkU64 = (field: string, value: unknown): bigint => {
  if (typeof value !== 'bigint') throw wrongType(field, value, 'a bigint')
  if (value < 0n || value > u64Max) throw outOfRange(field, value, `must be in 0x0..${hex(u64Max)}`)
  return value
}

/** The value if it is a boolean. @throws TypeError */
export const checkBoolean = (field: string, value: unknown): boolean => {
  if (typeof value !== 'boolean') throw wrongType(field, value, 'a boolean')
  return value
}

/** The value if it is an object that is no array: one whose fields can be read. @throws TypeError */
export const checkRecord = (field: string, value: unknown): Readonly<Record<string, unknown>> => {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrongType(field, value, 'an object')
  return value as Record<string, unknown>
}

// The getters of the prototype see through own properties, subclasses, proxies and other realms' prototypes.
const typedArray = Object.getPrototypeOf(Uint8Array.prototype)
const getTag = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)?.get
const getByteLength = Object.getOwnPropertyDescriptor(typedArray, 'byteLength')?.get

/** Whether the value really is a Uint8Array (a Buffer is one too), of whatever realm. Never throws. */
export const isUint8Array = (value: unknown): value is Uint8Array => getTag?.call(value) === 'Uint8Array'

/** The real length in bytes, also where a property of the object shadows it; 0 for a detached buffer. */
export const byteLengthOf = (bytes: Uint8Array): number => getByteLength?.call(bytes) as number

/** The value if it is a Uint8Array of exactly `length` bytes. @throws TypeError, RangeError */
export const checkBytes = (field: string, value: unknown, length: number): Uint8Array => {
  if (!isUint8Array(value)) throw wrongType(field, value, 'a Uint8Array')
  const actual = byteLengthOf(value)
  if (actual !== length) throw outOfRange(`${field}.length`, actual, `must be ${length}`)
  return value
}
