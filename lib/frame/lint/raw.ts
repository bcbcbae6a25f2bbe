/**
 * Frames in raw bytes: of a dump, or of anything else that has memory in it. An offset is that of the XSAVE area, in
 * 32-bit frames too: MAGIC1 lies 464 bytes behind it in all of them, and the fsave header is the 112 bytes before it.
 * Nothing is copied. Pure.
 */
import { byteLengthOf, checkInteger, checkRecord, isUint8Array, outOfRange, wrongType } from '../../errors.ts'
import { legacyFeatures, legacySize } from '../../xstate/layout.ts'
import { type Abi, checkAbi, frameShape } from '../abi.ts'
import { frameFields, largestFrame, magic1, magic2, magic2Size } from '../format.ts'
import { fsaveSize } from '../fsave.ts'
import type { LintedFrame } from './finding.ts'

export interface CutOptions {
  readonly abi: Abi
  /** Bytes from the start of the bytes to the XSAVE area. */
  readonly offset: number
  /** Where it lay in memory; not known if left out. */
  readonly address?: bigint | null
}

const checkAll = (bytes: unknown): Uint8Array => {
  if (isUint8Array(bytes)) return bytes
  throw wrongType('bytes', bytes, 'a Uint8Array')
}

/**
 * The frame whose XSAVE area begins at an offset: views of the bytes. An fsave header that would begin before them is
 * not known.
 * @throws TypeError, RangeError where less than a legacy region is left there
 */
export const cutFrame = (bytes: Uint8Array, options: CutOptions): LintedFrame => {
  const length = byteLengthOf(checkAll(bytes))
  const { abi, offset, address = null } = checkRecord('options', options) as unknown as CutOptions
  const { fsave } = frameShape(checkAbi('abi', abi))
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER)
  if (offset + legacySize > length)
    throw outOfRange(
      'offset',
      offset,
      `must be at most ${Math.max(0, length - legacySize)}: ${length} bytes are there, and a frame has at least ${legacySize}`,
    )
  return {
    abi,
    address,
    head: null,
    fsave: fsave && offset >= fsaveSize ? bytes.subarray(offset - fsaveSize, offset) : null,
    fpstate: bytes.subarray(offset, offset + largestFrame),
  }
}

/** What MAGIC1 heads, or does not. */
export interface FoundArea {
  /** Of the XSAVE area. */
  readonly offset: number
  /** By extended_size: 32-bit frames count their fsave header. */
  readonly abi: Abi
}

export interface Found {
  readonly areas: readonly FoundArea[]
  /** How many more MAGIC1s there are, behind which nothing looks like sw bytes: code that compares with it, for one. */
  readonly others: number
}

/** More frames than this nobody reads about. */
export const mostAreas = 10_000

const pattern = Buffer.alloc(4)
pattern.writeUInt32LE(magic1)

const { at: magic1At } = frameFields['sw.magic1']

/** Whether a size is that of an area with MAGIC2 behind it, or the sw bytes agree with one another. */
const isArea = (view: DataView, offset: number): boolean => {
  const read32 = (at: number): number => view.getUint32(offset + at, true)
  const size = read32(frameFields['sw.xstateSize'].at)
  const extendedSize = read32(frameFields['sw.extendedSize'].at)
  if (size < legacySize || size > largestFrame) return false
  const end = offset + size
  if (end + magic2Size <= view.byteLength && view.getUint32(end, true) === magic2) return true
  const xfeatures = view.getBigUint64(offset + frameFields['sw.xfeatures'].at, true)
  return (
    extendedSize >= size &&
    extendedSize <= size + magic2Size + fsaveSize &&
    (xfeatures & legacyFeatures) !== 0n
  )
}

const abiAt = (view: DataView, offset: number): Abi => {
  const extra =
    view.getUint32(offset + frameFields['sw.extendedSize'].at, true) -
    view.getUint32(offset + frameFields['sw.xstateSize'].at, true)
  return extra === magic2Size + fsaveSize ? 'ia32-rt' : 'x86_64'
}

/**
 * Every XSAVE area that MAGIC1 heads, at any alignment: where in memory the bytes began nobody says. At most
 * {@link mostAreas}.
 */
export const findAreas = (bytes: Uint8Array): Found => {
  const length = byteLengthOf(checkAll(bytes))
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  const areas: FoundArea[] = []
  let others = 0
  for (let at = buffer.indexOf(pattern, magic1At); at >= 0; at = buffer.indexOf(pattern, at + 1)) {
    const offset = at - magic1At
    if (areas.length === mostAreas) break
    if (offset + legacySize <= length && isArea(view, offset))
      areas.push({ offset, abi: abiAt(view, offset) })
    else others += 1
  }
  return { areas, others }
}
