/** What the counts of a stress run mean: which component a lost round lost, and whether all that should run did. Pure. */
import type { StressEnd, StressLoss } from '../probe/stress.ts'
import { diffComponents, isInitComponent, sameComponent, sameMxcsr } from '../xstate/compare.ts'
import type { ComponentName } from '../xstate/components.ts'
import { fieldOffset, initMxcsr, XsaveImage } from '../xstate/image.ts'
import type { Layout } from '../xstate/layout.ts'

/** MXCSR is of no component, and can be lost alone. */
export type Losable = ComponentName | 'mxcsr'

/**
 * What a register holds in place of what it held: what the handler had left there, the init state, another image of
 * the same request, one that other processes load, or none of these.
 */
export type Found = 'poison' | 'init' | 'another image' | 'another process' | 'unknown'

/** The images of a request, and those that other processes had loaded meanwhile. */
export interface Loaded {
  readonly images: readonly Uint8Array[]
  readonly others?: readonly Uint8Array[]
}

export interface LostPart {
  readonly name: Losable
  readonly found: Found
}

type Same = (a: Uint8Array, b: Uint8Array) => boolean

const foundBy = (
  same: Same,
  isInit: boolean,
  after: Uint8Array,
  { images, others = [] }: Loaded,
  { image, poison }: Pick<StressLoss, 'image' | 'poison'>,
): Found => {
  const left = images[poison]
  if (left !== undefined && same(after, left)) return 'poison'
  if (isInit) return 'init'
  if (images.some((one, i) => i !== image && same(after, one))) return 'another image'
  return others.some(one => same(after, one)) ? 'another process' : 'unknown'
}

/** What of the image that was loaded is not in the registers any more; empty where no state differs. */
export const lostParts = (
  after: Uint8Array,
  images: Loaded,
  loss: Pick<StressLoss, 'image' | 'poison'>,
  layout: Layout,
): LostPart[] => {
  const loaded = images.images[loss.image]
  if (loaded === undefined) return []
  const components = diffComponents(after, loaded, layout).map(name => ({
    name,
    found: foundBy(
      (a, b) => sameComponent(a, b, layout, name),
      isInitComponent(after, layout, name),
      after,
      images,
      loss,
    ),
  }))
  if (sameMxcsr(after, loaded)) return components
  const isInit = new XsaveImage(after, layout).mxcsr === initMxcsr
  return [...components, { name: 'mxcsr', found: foundBy(sameMxcsr, isInit, after, images, loss) }]
}

/**
 * Something that must not be: state was `lost`, a process `ended` before its time, or something that should have
 * happened did not (`idle`). Or sigframe itself is at fault (`broken`).
 */
export interface Problem {
  readonly kind: 'lost' | 'ended' | 'idle' | 'broken'
  /** One line. */
  readonly what: string
}

const foundText: Readonly<Record<Found, string>> = {
  poison: 'as the handler left it',
  init: 'in its init state',
  'another image': 'as in another image of this process',
  'another process': 'as in an image that other processes load',
  unknown: 'as in no image',
}

const partsText = (parts: readonly LostPart[]): string => {
  const groups = new Map<Found, Losable[]>()
  for (const { name, found } of parts) groups.set(found, [...(groups.get(found) ?? []), name])
  return [...groups].map(([found, names]) => `${names.join(' ')} ${foundText[found]}`).join('; ')
}

const wayText = {
  tgkill: 'sent by syscall',
  tgkill32: 'sent from 32-bit code',
  mixed: 'sent by syscall while timers may interrupt',
  spin: 'from timers while it spins',
  yield: 'from timers while it gives up its CPU',
} as const

const signalText = ({ abi, way }: StressLoss): string =>
  way === 'spin' || way === 'yield'
    ? `signals ${wayText[way]}`
    : `a signal with an ${abi} frame ${wayText[way]}`

/** The first lost round of a request. Where all state is as loaded nothing was lost, and the comparison is at fault. */
export const lossProblem = (
  loss: StressLoss,
  images: Loaded,
  expected: readonly Uint8Array[],
  layout: Layout,
): Problem => {
  const where = `CPU ${loss.cpu}, ${signalText(loss)}`
  if (loss.kind === 'signal') return { kind: 'lost', what: `${where}: the handler did not run just once` }
  const parts = lostParts(loss.after, images, loss, layout)
  if (parts.length > 0) return { kind: 'lost', what: `${where}: lost ${partsText(parts)}` }
  const before = expected[loss.image] ?? loss.after
  const isHint = (i: number): boolean => i >= fieldOffset.xstateBv && i < fieldOffset.xcompBv
  const first = loss.after.findIndex((byte, i) => byte !== before[i] && !isHint(i))
  return {
    kind: 'broken',
    what: `${where}: no state was lost, but XSAVE wrote byte ${first} otherwise than where no signal came`,
  }
}

/** What XSAVE makes of an image where no signal hits must be that image: else nothing is compared with the truth. */
export const expectationProblem = (
  images: readonly Uint8Array[],
  expected: readonly Uint8Array[],
  layout: Layout,
): Problem | null => {
  for (const image of images.keys()) {
    const after = expected[image]
    const parts = after === undefined ? [] : lostParts(after, { images }, { image, poison: image }, layout)
    if (parts.length > 0) return { kind: 'lost', what: `without any signal: lost ${partsText(parts)}` }
  }
  return null
}

/** How a process ended before its time, in words. */
const endText = (end: Exclude<StressEnd, null>): string => {
  switch (end.kind) {
    case 'signal':
      return end.where === 'load'
        ? `${end.signal} (si_code ${end.siCode}) at the load`
        : `${end.signal} (si_code ${end.siCode}) when a frame was written or restored`
    case 'died':
      return end.signal === null ? `it ended with code ${end.code}` : `it died of ${end.signal}`
    case 'timeout':
      return `it made no progress within ${end.timeoutMs} ms`
    case 'stuck':
      return `it made no progress within ${end.timeoutMs} ms, and cannot be killed`
    case 'refused':
      return `${end.call} was refused: ${end.errno}`
  }
}

/** What of a run's end is whose fault. */
export const endProblem = (end: Exclude<StressEnd, null>): Problem => ({
  kind: end.kind === 'refused' ? 'broken' : 'ended',
  what: endText(end),
})
