/** A captured frame in its parts. Pure. */
import { outOfRange, wrongType } from '../errors.ts'
import { type Abi, frameShape } from '../frame/abi.ts'
import { largestFrame, magic2Size } from '../frame/format.ts'
import type { ComponentName } from '../xstate/components.ts'
import { XsaveImage } from '../xstate/image.ts'
import { type Layout, layoutFromJSON } from '../xstate/layout.ts'
import type { CapturedFrame } from './captured.ts'

export interface ForeignFrame {
  readonly abi: Abi
  /** Of the machine that it was made on. */
  readonly layout: Layout
  /** The fsave header of a 32-bit frame, 112 bytes; null for 64-bit ones. */
  readonly fsave: Uint8Array | null
  /** The XSAVE area and MAGIC2; without XSAVE the legacy region alone. */
  readonly area: Uint8Array
  /** What was in the registers, as far as it is known. */
  readonly image: XsaveImage
  /** Components that the frame names, and ends before: what they held nobody knows. They count as in use. */
  readonly cutOff: readonly ComponentName[]
}

/** Bytes from the fsave header, or from the area where there is none, to behind MAGIC2. */
const fpstateBytes = (layout: Layout, abi: Abi): number =>
  frameShape(abi).fsaveSize + layout.size + (layout.xsave ? magic2Size : 0)

/** The bytes of a text in base64. @throws TypeError, RangeError unless it is exactly so many, spelt in the one way */
const bytesOf = (field: string, text: unknown, length: number): Uint8Array => {
  if (typeof text !== 'string') throw wrongType(field, text, 'a string in base64')
  const characters = 4 * Math.ceil(length / 3)
  if (text.length !== characters)
    throw outOfRange(`${field}.length`, text.length, `must be ${characters}: ${length} bytes in base64`)
  const bytes = Buffer.from(text, 'base64')
  if (bytes.length !== length || bytes.toString('base64') !== text)
    throw outOfRange(field, text, `must be ${length} bytes in base64`)
  return new Uint8Array(bytes)
}

/** @throws TypeError, RangeError that name the field, its value and the limit */
export const foreignFrame = (
  { abi, layout: source, fpstate, image }: Pick<CapturedFrame, 'abi' | 'layout' | 'fpstate' | 'image'>,
  field = 'frame',
): ForeignFrame => {
  const layout = layoutFromJSON(source, `${field}.layout`)
  if (layout.size > largestFrame)
    throw outOfRange(`${field}.layout size`, layout.size, `must be at most ${largestFrame}`)
  const { fsaveSize } = frameShape(abi)
  const bytes = bytesOf(`${field}.fpstate`, fpstate, fpstateBytes(layout, abi))
  return {
    abi,
    layout,
    fsave: fsaveSize === 0 ? null : bytes.slice(0, fsaveSize),
    area: bytes.slice(fsaveSize),
    image: new XsaveImage(bytesOf(`${field}.image`, image, layout.size), layout),
    cutOff: [],
  }
}
