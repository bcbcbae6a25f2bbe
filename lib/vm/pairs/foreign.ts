/** A captured frame in its parts, and what of another machine's frame can arrive on this one. Pure. */
import { outOfRange, wrongType } from '../../errors.ts'
import { type Abi, frameShape } from '../../frame/abi.ts'
import { magic2Size } from '../../frame/format.ts'
import { canonicalComponent, isInitComponent, sameMxcsr } from '../../xstate/compare.ts'
import { type ComponentName, isKnownComponent } from '../../xstate/components.ts'
import { XsaveImage } from '../../xstate/image.ts'
import { type Layout, layoutFromJSON, type PlacedComponent } from '../../xstate/layout.ts'
import type { CapturedFrame } from '../machine.ts'

/** Bytes of an area: several times the largest there is (11008, with AMX tiles). */
const largestArea = 64 * 1024

export interface ForeignFrame {
  readonly abi: Abi
  /** Of the machine that it was made on. */
  readonly layout: Layout
  /** The fsave header of a 32-bit frame, 112 bytes; null for 64-bit ones. */
  readonly fsave: Uint8Array | null
  /** The XSAVE area and MAGIC2; without XSAVE the legacy region alone. */
  readonly area: Uint8Array
  /** What was in the registers. */
  readonly image: XsaveImage
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
  if (layout.size > largestArea)
    throw outOfRange(`${field}.layout size`, layout.size, `must be at most ${largestArea}`)
  const { fsaveSize } = frameShape(abi)
  const bytes = bytesOf(`${field}.fpstate`, fpstate, fpstateBytes(layout, abi))
  return {
    abi,
    layout,
    fsave: fsaveSize === 0 ? null : bytes.slice(0, fsaveSize),
    area: bytes.slice(fsaveSize),
    image: new XsaveImage(bytesOf(`${field}.image`, image, layout.size), layout),
  }
}

/** MXCSR belongs to no component, and can be lost all the same. */
export type Arriving = ComponentName | 'mxcsr'

/** What became of a foreign frame's state. */
export interface Arrival {
  /** What the frame had in use, and the registers hold. */
  readonly arrived: readonly Arriving[]
  /** What the frame had in use and this machine has registers for, but holds otherwise. */
  readonly lost: readonly Arriving[]
  /** What it had in use, and no register of this machine can hold. */
  readonly unknown: readonly ComponentName[]
  /** What it had at init, and the registers have not. */
  readonly leftOver: readonly ComponentName[]
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** Each where its own layout has it. */
const holdsForeign = (after: XsaveImage, { image, layout }: ForeignFrame, name: ComponentName): boolean =>
  after.layout.has(name) &&
  sameBytes(
    canonicalComponent(after.bytes, after.layout, name),
    canonicalComponent(image.bytes, layout, name),
  )

/** Those that are not in their init state. */
const inUse = ({ image, layout }: ForeignFrame): readonly PlacedComponent[] =>
  layout.components.filter(({ name }) => !isInitComponent(image.bytes, layout, name))

/** Also what the machine has and the task has not: that could arrive. */
const knows = ({ hostFeatures, features }: Layout, { mask }: PlacedComponent): boolean =>
  ((hostFeatures | features) & mask) !== 0n

/** The components that a frame has in use, and no register of a machine of this layout can hold. */
export const unknownOf = (foreign: ForeignFrame, here: Layout): ComponentName[] =>
  inUse(foreign)
    .filter(one => !knows(here, one))
    .map(({ name }) => name)

/** @param after what the registers of this machine hold, whatever brought it there */
export const arrivalOf = (foreign: ForeignFrame, after: XsaveImage): Arrival => {
  const here = after.layout
  const used = inUse(foreign)
  const known: Arriving[] = used.filter(one => knows(here, one)).map(({ name }) => name)
  const holds = (name: Arriving): boolean =>
    name === 'mxcsr' ? sameMxcsr(after.bytes, foreign.image.bytes) : holdsForeign(after, foreign, name)
  known.push('mxcsr')
  return {
    arrived: known.filter(holds),
    lost: known.filter(name => !holds(name)),
    unknown: unknownOf(foreign, here),
    leftOver: here.components
      .map(({ name }) => name)
      .filter(name => !used.some(one => one.name === name) && !isInitComponent(after.bytes, here, name)),
  }
}

/** Whether all that the frame had in use is there, and nothing else. */
export const isWhole = ({ lost, unknown, leftOver }: Arrival): boolean =>
  lost.length + unknown.length + leftOver.length === 0

/** Whether no component of this state, nor MXCSR, is what the frame leads to. Of unknown ones no state is drawn. */
export const tellsFrom = (state: XsaveImage, foreign: ForeignFrame): boolean =>
  !sameMxcsr(state.bytes, foreign.image.bytes) &&
  foreign.layout.components.every(
    ({ name }) => !isKnownComponent(name) || !holdsForeign(state, foreign, name),
  )
