/**
 * Where each component lies in the standard (non-compacted) format of an XSAVE area: Intel SDM volume 1, 13.4,
 * AMD APM volume 2, 11.5. A layout belongs to a task and its permissions, not to a host: AMX tile data joins
 * it only once the kernel lets it in.
 */
import { checkBoolean, checkInteger, checkRecord, checkU64, hex, outOfRange, wrongType } from '../errors.ts'
import { type Component, type ComponentName, componentAt, componentNamed, namesOf } from './components.ts'

/** Bytes of the legacy region, the format of FXSAVE. Without XSAVE it is all there is. */
export const legacySize = 512
/** Bytes of the header that follows it: XSTATE_BV, XCOMP_BV, 48 reserved bytes. */
export const headerSize = 64
/** The smallest XSAVE area, and where extended components begin. */
export const minXsaveSize = legacySize + headerSize

/** x87 and SSE: in every layout, and the kernel always sets their bits in a frame. */
export const legacyFeatures = 0x3n

/**
 * What MXCSR_MASK means when it reads 0: no DAZ (SDM volume 1, 11.6.6).
 */
export const defaultMxcsrMask = 0xffbf

// A bound for what is read from files, far above any real area (11008 bytes with AMX), so that a wrong number
// cannot ask for gigabytes.
const largestArea = 1 << 20
const lastComponent = 62

/** One subleaf of CPUID leaf 0xD, from 2 up. Sizes and offsets in bytes. */
export interface LayoutComponent {
  /** The subleaf, which is the component's bit. */
  readonly index: number
  /** EAX. */
  readonly size: number
  /** EBX: from the start of the area, standard format. Supervisor components have none: 0. */
  readonly offset: number
  /** ECX bit 1: 64-byte aligned in the compacted format. */
  readonly alignedCompacted: boolean
  /** ECX bit 0: a bit of IA32_XSS, not of XCR0. */
  readonly supervisor: boolean
  /** ECX bit 2: IA32_XFD can disable it. */
  readonly xfd: boolean
}

/** What a host and a task say of themselves; all that a layout is made of. */
export interface LayoutSource {
  /** CPUID leaf 0's twelve characters: `GenuineIntel`. */
  readonly vendor: string
  /** What the host's kernel enabled; 0 where there is no XSAVE. */
  readonly xcr0: bigint
  /** What this task may have in its frames: a subset of xcr0. Ignored without XSAVE. */
  readonly userFeatures: bigint
  readonly components: readonly LayoutComponent[]
  /** The bits of MXCSR that may be set, as FXSAVE and XSAVE write them at byte 28; 0 means 0xffbf. */
  readonly mxcsrMask: number
}

/** A `LayoutSource` as JSON holds it: feature masks are hexadecimal strings. */
export interface LayoutJson extends Omit<LayoutSource, 'xcr0' | 'userFeatures'> {
  readonly xcr0: string
  readonly userFeatures: string
}

/** Consecutive bytes of an area. */
export interface ByteRange {
  readonly offset: number
  readonly size: number
}

/** A component in its place. All numbers in bytes from the start of the area. */
export interface PlacedComponent {
  readonly name: ComponentName
  readonly index: number
  readonly mask: bigint
  readonly offset: number
  /** From its first byte to its last. For x87 that span includes MXCSR, which is not its own: see `ranges`. */
  readonly size: number
  /** `offset + size`. */
  readonly end: number
  /** Exactly its own bytes. Only x87 has two ranges: MXCSR and MXCSR_MASK (24..31) lie between them. */
  readonly ranges: readonly ByteRange[]
}

const place = (component: Component, ranges: readonly ByteRange[]): PlacedComponent => {
  const offset = Math.min(...ranges.map(range => range.offset))
  const end = Math.max(...ranges.map(range => range.offset + range.size))
  return Object.freeze({
    name: component.name,
    index: component.index,
    mask: component.mask,
    offset,
    size: end - offset,
    end,
    ranges: Object.freeze(ranges.map(range => Object.freeze({ ...range }))),
  })
}

// SDM volume 1, 13.5.1 and 13.5.2, and table 10-2 for the bytes: FCW to FDP, then MXCSR and its mask, then
// ST0..ST7 in 16 bytes each, then XMM0..XMM15.
const legacyComponents: readonly PlacedComponent[] = Object.freeze([
  place(componentAt(0), [
    { offset: 0, size: 24 },
    { offset: 32, size: 128 },
  ]),
  place(componentAt(1), [{ offset: 160, size: 256 }]),
])

const checkText = (field: string, value: unknown): string => {
  if (typeof value !== 'string') throw wrongType(field, value, 'a string')
  if (!/^[\x20-\x7e]{0,32}$/.test(value))
    throw outOfRange(field, value, 'must be at most 32 printable characters')
  return value
}

const checkSubset = (field: string, value: bigint, allowed: bigint, what: string): bigint => {
  if ((value & ~allowed) === 0n) return value
  throw outOfRange(
    field,
    value,
    `which has bits outside ${what} ${hex(allowed)} (${namesOf(allowed).join(' ')})`,
  )
}

const checkLegacy = (field: string, value: bigint): bigint => {
  if ((value & legacyFeatures) === legacyFeatures) return value
  throw outOfRange(field, value, `must include ${hex(legacyFeatures)} (x87 sse)`)
}

const checkComponent = (field: string, value: unknown): LayoutComponent => {
  const { index, size, offset, alignedCompacted, supervisor, xfd } = checkRecord(field, value)
  const component = {
    index: checkInteger(`${field}.index`, index, 2, lastComponent),
    size: checkInteger(`${field}.size`, size, 1, largestArea),
    offset: checkInteger(`${field}.offset`, offset, 0, largestArea),
    alignedCompacted: checkBoolean(`${field}.alignedCompacted`, alignedCompacted),
    supervisor: checkBoolean(`${field}.supervisor`, supervisor),
    xfd: checkBoolean(`${field}.xfd`, xfd),
  }
  return Object.freeze(component)
}

const checkComponents = (field: string, value: unknown): readonly LayoutComponent[] => {
  if (!Array.isArray(value)) throw wrongType(field, value, 'an array')
  if (value.length > lastComponent)
    throw outOfRange(`${field}.length`, value.length, `must be in 0..${lastComponent}`)
  const checked = Array.from(value, (item, i) => checkComponent(`${field}[${i}]`, item))
  const seen = new Set<number>()
  checked.forEach(({ index }, i) => {
    if (seen.has(index)) throw outOfRange(`${field}[${i}].index`, index, 'which an earlier entry has already')
    seen.add(index)
  })
  return Object.freeze(checked.sort((a, b) => a.index - b.index))
}

// Only what the task has is held to this: what the host lists beside it is kept as it was read.
const checkPlace = (field: string, { index, size, offset, supervisor }: LayoutComponent): void => {
  const { name, size: fixed } = componentAt(index)
  const named = `${field} (${name})`
  if (supervisor)
    throw outOfRange(`${named}.supervisor`, true, 'but userFeatures has it, which holds user components')
  if (offset < minXsaveSize) throw outOfRange(`${named}.offset`, offset, `must be at least ${minXsaveSize}`)
  if (offset + size > largestArea)
    throw outOfRange(`${named}.offset`, offset, `its end must be below ${largestArea}`)
  if (fixed !== undefined && size !== fixed) throw outOfRange(`${named}.size`, size, `must be ${fixed}`)
}

const checkApart = (field: string, placed: readonly PlacedComponent[]): void => {
  const ordered = placed.toSorted((a, b) => a.offset - b.offset)
  ordered.forEach((component, i) => {
    const next = ordered[i + 1]
    if (next === undefined || next.offset >= component.end) return
    throw outOfRange(
      `${field} (${next.name}).offset`,
      next.offset,
      `which lies inside ${component.name} (${component.offset}..${component.end - 1})`,
    )
  })
}

const placeExtended = (field: string, source: LayoutSource): readonly PlacedComponent[] => {
  const placed = namesOf(source.userFeatures & ~legacyFeatures).map(name => {
    const component = componentNamed(name)
    const found = source.components.findIndex(({ index }) => index === component.index)
    const given = source.components[found]
    if (given === undefined)
      throw outOfRange(`${field}.userFeatures`, source.userFeatures, `but ${field}.components lacks ${name}`)
    checkPlace(`${field}.components[${found}]`, given)
    return place(component, [{ offset: given.offset, size: given.size }])
  })
  checkApart(`${field}.components`, placed)
  return Object.freeze(placed)
}

const checkSource = (field: string, value: unknown): LayoutSource => {
  const { vendor, xcr0, userFeatures, components, mxcsrMask } = checkRecord(field, value)
  const host = checkU64(`${field}.xcr0`, xcr0)
  const user = checkU64(`${field}.userFeatures`, userFeatures)
  if (host !== 0n) {
    checkLegacy(`${field}.xcr0`, host)
    checkSubset(`${field}.userFeatures`, checkLegacy(`${field}.userFeatures`, user), host, `${field}.xcr0`)
  }
  return Object.freeze({
    vendor: checkText(`${field}.vendor`, vendor),
    xcr0: host,
    userFeatures: host === 0n ? legacyFeatures : user,
    components: checkComponents(`${field}.components`, components),
    mxcsrMask: checkInteger(`${field}.mxcsrMask`, mxcsrMask, 0, 0xffff_ffff) || defaultMxcsrMask,
  })
}

/** An immutable layout: which components a task's XSAVE area has, and where. Made by {@link createLayout}. */
export class Layout {
  readonly vendor: string
  /** The feature mask of what this task has: the kernel's user_xfeatures. 0x3 without XSAVE. */
  readonly features: bigint
  /** The host's XCR0; 0 without XSAVE. */
  readonly hostFeatures: bigint
  /** Bytes of the standard format of `features`: the kernel's user_size. 512 without XSAVE, else at least 576. */
  readonly size: number
  /** The bits of MXCSR that may be set without a #GP. */
  readonly mxcsrMask: number
  /** False where the legacy 512 bytes are all: no header, no sw bytes' promises, no MAGIC2. */
  readonly xsave: boolean
  /** In the order of their bits, x87 and SSE first. */
  readonly components: readonly PlacedComponent[]
  /** Those beyond the legacy region: index 2 and above. */
  readonly extended: readonly PlacedComponent[]
  readonly #source: LayoutSource
  readonly #byName: ReadonlyMap<string, PlacedComponent>

  /** @throws TypeError, RangeError that name the field of the source, its value and the limit */
  constructor(source: LayoutSource, field = 'layout') {
    this.#source = checkSource(field, source)
    this.vendor = this.#source.vendor
    this.features = this.#source.userFeatures
    this.hostFeatures = this.#source.xcr0
    this.mxcsrMask = this.#source.mxcsrMask
    this.xsave = this.hostFeatures !== 0n
    this.extended = this.xsave ? placeExtended(field, this.#source) : Object.freeze([])
    this.components = Object.freeze([...legacyComponents, ...this.extended])
    this.#byName = new Map(this.components.map(component => [component.name, component]))
    this.size = this.sizeFor(this.features)
    Object.freeze(this)
  }

  /** Whether the value is a layout: one that this class made and checked, not only something of its prototype. */
  static is(value: unknown): value is Layout {
    return typeof value === 'object' && value !== null && #source in value
  }

  /** Whether the layout has this component. */
  has(name: ComponentName): boolean {
    return this.#byName.has(name)
  }

  /** The component in its place. @throws RangeError when the layout lacks it, naming what it has; TypeError */
  component(name: ComponentName, field = 'component'): PlacedComponent {
    const placed = this.#byName.get(name)
    if (placed !== undefined) return placed
    if (typeof name !== 'string') throw wrongType(field, name, 'the name of a component')
    throw outOfRange(field, name, `which this layout lacks: it has ${[...this.#byName.keys()].join(' ')}`)
  }

  /** Bytes from the start of the area to the component. @throws as `component` */
  offset(name: ComponentName): number {
    return this.component(name).offset
  }

  /**
   * Bytes from the start of the area to the end of the component: an xstate_size that just holds it. For an area
   * of x87 and SSE alone that is not enough, since the header follows them: ask `sizeFor`.
   * @throws as `component`
   */
  end(name: ComponentName): number {
    return this.component(name).end
  }

  /**
   * Bytes of the standard format of a subset of the features: the furthest end among its components, at least
   * 576; always 512 without XSAVE. As the kernel's xstate_calculate_size: the furthest, not the highest bit,
   * since APX (bit 19) lies below most others.
   * @throws RangeError when the subset has bits outside `features`; TypeError
   */
  sizeFor(features: bigint): number {
    checkSubset('features', checkU64('features', features), this.features, 'the layout’s')
    if (!this.xsave) return legacySize
    return this.extended.reduce(
      (size, c) => ((features & c.mask) === 0n ? size : Math.max(size, c.end)),
      minXsaveSize,
    )
  }

  /** The same host seen by a task with other features, as after the permission for AMX. @throws as `createLayout` */
  withFeatures(userFeatures: bigint): Layout {
    return new Layout({ ...this.#source, userFeatures })
  }

  /** All that the layout was made of; `layoutFromJSON` makes an equal one of it. */
  toJSON(): LayoutJson {
    const { vendor, xcr0, userFeatures, components, mxcsrMask } = this.#source
    return { vendor, xcr0: hex(xcr0), userFeatures: hex(userFeatures), components, mxcsrMask }
  }
}

/**
 * A layout of what CPUID, XCR0 and the kernel say.
 * @throws TypeError, RangeError when the source contradicts itself: a feature without a place, components that
 *   overlap, a size that is not the architecture's. The message names the field.
 */
export const createLayout = (source: LayoutSource): Layout => new Layout(source)

const parseMask = (field: string, value: unknown): bigint => {
  if (typeof value !== 'string') throw wrongType(field, value, 'a hexadecimal string')
  if (!/^0x[0-9a-f]{1,16}$/i.test(value))
    throw outOfRange(field, value, 'must be 0x and 1 to 16 hexadecimal digits')
  return BigInt(value)
}

/**
 * The layout of a value that JSON.parse gave. Nothing in it is trusted.
 * @param field how messages call the value
 * @throws TypeError, RangeError that name the field, its value and the limit
 */
export const layoutFromJSON = (value: unknown, field = 'layout'): Layout => {
  const { vendor, xcr0, userFeatures, components, mxcsrMask } = checkRecord(field, value)
  const source = {
    vendor,
    xcr0: parseMask(`${field}.xcr0`, xcr0),
    userFeatures: parseMask(`${field}.userFeatures`, userFeatures),
    components,
    mxcsrMask,
  }
  return new Layout(source as LayoutSource, field)
}
