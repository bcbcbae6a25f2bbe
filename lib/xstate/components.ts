/**
 * The components of the extended state: what the bits of XCR0, XSTATE_BV and the kernel's xfeatures mean.
 * Sources: Intel SDM volume 1, 13.1 (the list) and 13.5 (each component); AMD APM volume 2, 11.5; the
 * kernel's arch/x86/include/asm/fpu/types.h (`enum xfeature`) and arch/x86/kernel/fpu/xstate.c (`xfeature_names`).
 */
import { checkU64, outOfRange, wrongType } from '../errors.ts'

/** A component that this table knows, by its short name. */
export type KnownComponentName =
  | 'x87'
  | 'sse'
  | 'avx'
  | 'bndregs'
  | 'bndcsr'
  | 'opmask'
  | 'zmm_hi256'
  | 'hi16_zmm'
  | 'pt'
  | 'pkru'
  | 'pasid'
  | 'cet_u'
  | 'cet_s'
  | 'hdc'
  | 'uintr'
  | 'lbr'
  | 'hwp'
  | 'xtilecfg'
  | 'xtiledata'
  | 'apx'

/** A component that this table does not know, by its bit: `component_20`. Newer hosts have such. */
export type UnknownComponentName = `component_${number}`

export type ComponentName = KnownComponentName | UnknownComponentName

/** One component, whatever the host: where it lies is the layout's business. */
export interface Component {
  /** The bit in XCR0, XSTATE_BV and xfeatures, and the subleaf of CPUID leaf 0xD. */
  readonly index: number
  readonly name: ComponentName
  /** `1n << BigInt(index)`. */
  readonly mask: bigint
  /** The kernel's constant, without a table entry `XFEATURE_n`. */
  readonly xfeature: string
  /** The kernel's words for it, as its boot log prints them. */
  readonly description: string
  /** `supervisor` components live in IA32_XSS and XSAVES alone: never in XCR0, nor in a signal frame. */
  readonly kind: 'user' | 'supervisor'
  /** Bytes in the XSAVE area, where the architecture fixes them; undefined where CPUID alone knows. */
  readonly size: number | undefined
  /**
   * Components that XCR0 must have too: XSETBV refuses it otherwise (SDM volume 1, 13.3). A rule for hosts, not
   * for images: XRSTOR loads any of them without the others (seen for XTILEDATA with XTILECFG in its init state).
   */
  readonly requires: readonly ComponentName[]
}

const unknownDescription = 'unknown xstate feature'
const lastBit = 63

type Row = readonly [
  name: KnownComponentName,
  xfeature: string,
  description: string,
  kind: Component['kind'],
  size: number | undefined,
  requires?: readonly KnownComponentName[],
]

// In the order of the bits. The kernel's names of components 6 and 7 are as it spells them.
const rows: readonly Row[] = [
  ['x87', 'XFEATURE_FP', 'x87 floating point registers', 'user', 160],
  ['sse', 'XFEATURE_SSE', 'SSE registers', 'user', 256, ['x87']],
  ['avx', 'XFEATURE_YMM', 'AVX registers', 'user', 256, ['sse']],
  ['bndregs', 'XFEATURE_BNDREGS', 'MPX bounds registers', 'user', 64, ['bndcsr']],
  ['bndcsr', 'XFEATURE_BNDCSR', 'MPX CSR', 'user', 64, ['bndregs']],
  ['opmask', 'XFEATURE_OPMASK', 'AVX-512 opmask', 'user', 64, ['avx', 'zmm_hi256', 'hi16_zmm']],
  ['zmm_hi256', 'XFEATURE_ZMM_Hi256', 'AVX-512 Hi256', 'user', 512, ['avx', 'opmask', 'hi16_zmm']],
  ['hi16_zmm', 'XFEATURE_Hi16_ZMM', 'AVX-512 ZMM_Hi256', 'user', 1024, ['avx', 'opmask', 'zmm_hi256']],
  ['pt', 'XFEATURE_PT_UNIMPLEMENTED_SO_FAR', 'Processor Trace (unused)', 'supervisor', undefined],
  ['pkru', 'XFEATURE_PKRU', 'Protection Keys User registers', 'user', 8],
  ['pasid', 'XFEATURE_PASID', 'PASID state', 'supervisor', 8],
  ['cet_u', 'XFEATURE_CET_USER', 'Control-flow User registers', 'supervisor', 16],
  ['cet_s', 'XFEATURE_CET_KERNEL', 'Control-flow Kernel registers (KVM only)', 'supervisor', 24],
  ['hdc', 'XFEATURE_RSRVD_COMP_13', unknownDescription, 'supervisor', undefined],
  ['uintr', 'XFEATURE_RSRVD_COMP_14', unknownDescription, 'supervisor', undefined],
  ['lbr', 'XFEATURE_LBR', unknownDescription, 'supervisor', undefined],
  ['hwp', 'XFEATURE_RSRVD_COMP_16', unknownDescription, 'supervisor', undefined],
  ['xtilecfg', 'XFEATURE_XTILE_CFG', 'AMX Tile config', 'user', 64, ['xtiledata']],
  ['xtiledata', 'XFEATURE_XTILE_DATA', 'AMX Tile data', 'user', undefined, ['xtilecfg']],
  ['apx', 'XFEATURE_APX', 'APX registers', 'user', 128],
]

const fromRow = ([name, xfeature, description, kind, size, requires = []]: Row, index: number): Component =>
  Object.freeze({
    index,
    name,
    mask: 1n << BigInt(index),
    xfeature,
    description,
    kind,
    size,
    requires: Object.freeze([...requires]),
  })

const unknownAt = (index: number): Component =>
  Object.freeze({
    index,
    name: `component_${index}` as const,
    mask: 1n << BigInt(index),
    xfeature: `XFEATURE_${index}`,
    description: unknownDescription,
    kind: 'user',
    size: undefined,
    requires: Object.freeze([]),
  })

/** The components that are known, in the order of their bits: `components[2]` is AVX. */
export const components: readonly Component[] = Object.freeze(rows.map(fromRow))

const all: readonly Component[] = Array.from({ length: lastBit + 1 }, (_, i) => components[i] ?? unknownAt(i))
const byName: ReadonlyMap<string, Component> = new Map(all.map(component => [component.name, component]))

/** The component of a bit, 0..63; one that is not known is called `component_N`. @throws TypeError, RangeError */
export const componentAt = (index: number): Component => {
  const component = all[index]
  if (component !== undefined) return component
  throw typeof index === 'number' && Number.isInteger(index)
    ? outOfRange('component index', index, `must be in 0..${lastBit}`)
    : wrongType('component index', index, 'an integer')
}

/** Whether the value names a component: a known one, or `component_N` for a bit that has no other name. */
export const isComponentName = (value: unknown): value is ComponentName =>
  typeof value === 'string' && byName.has(value)

/** Whether the table knows the component: what others accept in their registers nobody can say. */
export const isKnownComponent = (name: ComponentName): boolean => !name.startsWith('component_')

/** The component of a name. @throws TypeError when it is no string, RangeError when nothing is called so */
export const componentNamed = (name: string, field = 'component'): Component => {
  if (typeof name !== 'string') throw wrongType(field, name, 'the name of a component')
  const component = byName.get(name)
  if (component === undefined)
    throw outOfRange(field, name, `must be one of ${components.map(c => c.name).join(' ')}`)
  return component
}

/** Whether the value can be a feature mask: a bigint of at most 64 bits. */
export const isFeatureMask = (value: unknown): value is bigint =>
  typeof value === 'bigint' && value >= 0n && value >> 64n === 0n

/** The feature mask of these components. @throws TypeError, RangeError */
export const maskOf = (names: Iterable<ComponentName>): bigint => {
  let mask = 0n
  for (const name of names) mask |= componentNamed(name).mask
  return mask
}

/** The components of a feature mask, lowest bit first; bits without a name are `component_N`. @throws TypeError, RangeError */
export const namesOf = (mask: bigint): ComponentName[] => {
  checkU64('feature mask', mask)
  return all.filter(component => (mask & component.mask) !== 0n).map(component => component.name)
}
