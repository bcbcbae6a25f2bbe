/** What of another machine's frame arrives on this one. Pure. */
import { canonicalComponent, isInitComponent, sameMxcsr } from '../xstate/compare.ts'
import { type ComponentName, isKnownComponent } from '../xstate/components.ts'
import type { XsaveImage } from '../xstate/image.ts'
import type { Layout, PlacedComponent } from '../xstate/layout.ts'
import { defaultPkru } from '../xstate/pkru.ts'
import type { ForeignFrame } from './foreign.ts'

/** MXCSR belongs to no component, and can be lost all the same. */
export type Arriving = ComponentName | 'mxcsr'

/** What became of a foreign frame's state. */
export interface Arrival {
  /** What the frame had in use, and the registers hold. */
  readonly arrived: readonly Arriving[]
  /** What the frame had in use and this machine has registers for, but holds otherwise. */
  readonly lost: readonly Arriving[]
  /** What it had in use, and no register of this machine can hold; what is `unneeded` apart. */
  readonly unknown: readonly ComponentName[]
  /** What it had at init, and the registers have not. */
  readonly leftOver: readonly ComponentName[]
  /**
   * PKRU at the kernel’s default, where the machine has none: every program starts with it, and where no memory has a key
   * nothing hangs on it.
   */
  readonly unneeded: readonly ComponentName[]
}

const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** Each where its own layout has it. */
const holdsForeign = (
  after: XsaveImage,
  { image, layout, cutOff }: ForeignFrame,
  name: ComponentName,
): boolean =>
  after.layout.has(name) &&
  !cutOff.includes(name) &&
  sameBytes(
    canonicalComponent(after.bytes, after.layout, name),
    canonicalComponent(image.bytes, layout, name),
  )

/** Those that are not in their init state, or may not be. */
const inUse = ({ image, layout, cutOff }: ForeignFrame): readonly PlacedComponent[] =>
  layout.components.filter(({ name }) => cutOff.includes(name) || !isInitComponent(image.bytes, layout, name))

const isUnneeded = ({ image, layout, cutOff }: ForeignFrame, { name }: PlacedComponent): boolean =>
  name === 'pkru' && !cutOff.includes(name) && layout.has(name) && image.pkru === defaultPkru

/** Also what the machine has and the task has not: that could arrive. */
const knows = ({ hostFeatures, features }: Layout, { mask }: PlacedComponent): boolean =>
  ((hostFeatures | features) & mask) !== 0n

/** The components that a frame has in use, and no register of a machine of this layout can hold. */
export const unknownOf = (foreign: ForeignFrame, here: Layout): ComponentName[] =>
  inUse(foreign)
    .filter(one => !knows(here, one) && !isUnneeded(foreign, one))
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
    unneeded: used.filter(one => !knows(here, one) && isUnneeded(foreign, one)).map(({ name }) => name),
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
