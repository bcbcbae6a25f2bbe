/**
 * A register state in another layout. Components go where the target has them; what the target lacks may be missing
 * where it is in its init state, and is a reason to refuse where it is not. Nothing is lost silently. Pure.
 */
import { hex, outOfRange, wrongType } from '../errors.ts'
import { canonicalComponent, isInitComponent } from './compare.ts'
import { type ComponentName, namesOf } from './components.ts'
import { fieldOffset, initImage, initMxcsr, XsaveImage } from './image.ts'
import { Layout, type PlacedComponent } from './layout.ts'
import { defaultPkru } from './pkru.ts'

/** All that is carried: MXCSR is no component, and state all the same. */
export type Carried = ComponentName | 'mxcsr'

/**
 * Why the target cannot hold what is in use:
 * - `absent`: it has no such registers;
 * - `withheld`: the CPU has them, and the task has not asked for them (AMX's tiles);
 * - `size`: it has so many bytes of them, and not as many;
 * - `reserved`: MXCSR has bits there that may not be set.
 */
export type LackKind = 'absent' | 'withheld' | 'size' | 'reserved'

export interface Lack {
  readonly name: Carried
  readonly kind: LackKind
  /** In one line, without the target's name. */
  readonly message: string
}

/** A component that the target lacks, and that nothing is lost with. */
export interface Dropped {
  readonly name: ComponentName
  /** `default`: PKRU has the value with which each program starts. See {@link TranslateOptions.defaultPkru}. */
  readonly why: 'init' | 'default'
}

export interface TranslateOptions {
  /**
   * What becomes of a PKRU of 0x55555554 on a target without protection keys. Linux starts every program with it, so
   * that a program that has never heard of keys has it in use; there is no register that could hold it otherwise, and
   * no memory on the target that has a key. `drop` (the default) counts it as init; `refuse` as any other value.
   */
  readonly defaultPkru?: 'drop' | 'refuse'
  /**
   * What a target with protection keys gets in PKRU from a source that has none. `init` (the default) adds nothing:
   * PKRU is 0 then, as the kernel leaves it that restores such a frame, and every key is open. `default` gives it what
   * a program of the target has from its start, so that keys which another thread asks for later are closed to this one.
   */
  readonly newPkru?: 'init' | 'default'
}

export interface TranslatedImage {
  readonly kind: 'translated'
  readonly image: XsaveImage
  /** What was in use, and is. */
  readonly carried: readonly Carried[]
  readonly dropped: readonly Dropped[]
  /** What the source has no registers for, and is in use now: PKRU, where that was asked for. */
  readonly added: readonly ComponentName[]
}

/** The target cannot hold the state. */
export interface Lacking {
  readonly kind: 'lacking'
  /** At least one, lowest bit first, MXCSR last. */
  readonly lacks: readonly Lack[]
}

const isInit = ({ bytes, layout }: XsaveImage, { name }: PlacedComponent): boolean =>
  isInitComponent(bytes, layout, name)

const isDefaultPkru = (image: XsaveImage, { name }: PlacedComponent): boolean =>
  name === 'pkru' && image.pkru === defaultPkru

const lackMessages = {
  absent: 'and the target has no such registers',
  withheld: 'and the target’s CPU has it, but not its task: it must ask its kernel for it first',
} as const

/** Why the target cannot hold a component that is in use; null where it can. */
const lackOf = ({ name, mask, size }: PlacedComponent, to: Layout): Lack | null => {
  if (!to.has(name)) {
    const kind = (to.hostFeatures & mask) === 0n ? 'absent' : 'withheld'
    return { name, kind, message: `${name} is in use, ${lackMessages[kind]}` }
  }
  const there = to.component(name).size
  if (there === size) return null
  return { name, kind: 'size', message: `${name} is in use and has ${size} bytes, on the target ${there}` }
}

const mxcsrLack = ({ mxcsr }: XsaveImage, { mxcsrMask }: Layout): Lack | null => {
  if ((BigInt(mxcsr) & ~BigInt(mxcsrMask)) === 0n) return null
  const message = `mxcsr is ${hex(mxcsr)}, which has bits outside the target’s ${hex(mxcsrMask)}`
  return { name: 'mxcsr', kind: 'reserved', message }
}

/** The 6 bytes behind each ST and the one behind FTW hold nothing. FOP, FIP and FDP do, on Intel's CPUs at least. */
const copyX87 = ({ bytes }: XsaveImage, to: Uint8Array): void => {
  to.set(bytes.subarray(fieldOffset.fcw, fieldOffset.ftw + 1), fieldOffset.fcw)
  to.set(bytes.subarray(fieldOffset.fop, fieldOffset.mxcsr), fieldOffset.fop)
  for (let at: number = fieldOffset.st; at < fieldOffset.xmm; at += 16)
    to.set(bytes.subarray(at, at + 10), at)
}

const isSet = ({ xstateBv }: XsaveImage, { mask }: PlacedComponent): boolean => (xstateBv & mask) !== 0n

const copyComponent = (from: XsaveImage, to: XsaveImage, placed: PlacedComponent): void => {
  // Elsewhere the init value is there already.
  if (!isSet(from, placed)) return
  if (placed.name === 'x87') copyX87(from, to.bytes)
  else to.component(placed.name).set(canonicalComponent(from.bytes, from.layout, placed.name))
}

const checkImage = (image: XsaveImage): void => {
  if (!XsaveImage.is(image)) throw wrongType('image', image, 'an XsaveImage')
  const { xstateBv, xcompBv, layout } = image
  // Where a component lies is said by the layout: of the standard format, and for what it has.
  if (xcompBv !== 0n) throw outOfRange('image.xcompBv', xcompBv, 'must be 0x0: the standard format')
  if ((xstateBv & ~layout.features) === 0n) return
  const limit = `which has bits outside ${hex(layout.features)} (${namesOf(layout.features).join(' ')})`
  throw outOfRange('image.xstateBv', xstateBv, limit)
}

const translated = (
  image: XsaveImage,
  to: Layout,
  dropped: readonly Dropped[],
  options: TranslateOptions,
): TranslatedImage => {
  const { layout } = image
  const result = initImage(to)
  const kept = layout.components.filter(one => lackOf(one, to) === null)
  for (const placed of kept) copyComponent(image, result, placed)
  result.mxcsr = image.mxcsr
  result.mxcsrMask = to.mxcsrMask
  // A bit that is set for an init value stays set: it says nothing that is wrong.
  const keptMask = kept.reduce((mask, one) => mask | one.mask, 0n)
  if (to.xsave) result.xstateBv = image.xstateBv & keptMask
  const isAdded = options.newPkru === 'default' && to.has('pkru') && !layout.has('pkru')
  if (isAdded) {
    result.pkru = defaultPkru
    result.xstateBv |= to.component('pkru').mask
  }
  const inUse: Carried[] = kept.filter(one => !isInit(image, one)).map(({ name }) => name)
  return {
    kind: 'translated',
    image: result,
    carried: image.mxcsr === initMxcsr ? inUse : [...inUse, 'mxcsr'],
    dropped,
    added: isAdded ? ['pkru'] : [],
  }
}

/**
 * The same state in another layout: components at the target's offsets, XSTATE_BV without what was dropped, MXCSR as it
 * was. What is in a component is not judged: a state that no CPU would load is none in the other layout either.
 * @param image of whatever layout; an image of its own is returned
 * @returns the state, or all that is in use and that the target cannot hold
 * @throws TypeError for what is no image or no layout, RangeError for an image whose XSTATE_BV has bits that its layout
 *   lacks, or that is in the compacted format
 */
export const translateImage = (
  image: XsaveImage,
  to: Layout,
  options: TranslateOptions = {},
): TranslatedImage | Lacking => {
  checkImage(image)
  if (!Layout.is(to)) throw wrongType('to', to, 'a Layout')
  const lacks: Lack[] = []
  const dropped: Dropped[] = []
  for (const placed of image.layout.components) {
    const { name } = placed
    const lack = lackOf(placed, to)
    if (lack === null) continue
    const isNothing = isInit(image, placed)
    if (!isNothing && !(isDefaultPkru(image, placed) && options.defaultPkru !== 'refuse')) lacks.push(lack)
    // Of another size: at init there, too.
    else if (!to.has(name)) dropped.push({ name, why: isNothing ? 'init' : 'default' })
  }
  const mxcsr = mxcsrLack(image, to)
  if (mxcsr !== null) lacks.push(mxcsr)
  return lacks.length > 0 ? { kind: 'lacking', lacks } : translated(image, to, dropped, options)
}
