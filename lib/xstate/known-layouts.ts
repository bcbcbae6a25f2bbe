/**
 * Layouts of CPUs that the project is likely to meet, as their CPUID leaf 0xD and their kernels give them: for
 * tests, and to say what a frame would look like elsewhere. What a host has is read from the host, never here.
 */
import { componentNamed, type KnownComponentName, maskOf } from './components.ts'
import type { LayoutComponent, LayoutSource } from './layout.ts'

type Place = readonly [name: KnownComponentName, offset: number, size: number]

const avx: Place = ['avx', 576, 256]
const mpx: readonly Place[] = [
  ['bndregs', 960, 64],
  ['bndcsr', 1024, 64],
]
const intelAvx512: readonly Place[] = [
  ['opmask', 1088, 64],
  ['zmm_hi256', 1152, 512],
  ['hi16_zmm', 1664, 1024],
]
const intelPkru: Place = ['pkru', 2688, 8]
const amx: readonly Place[] = [
  ['xtilecfg', 2752, 64],
  ['xtiledata', 2816, 8192],
]
const apx: Place = ['apx', 960, 128]
const zenAvx512: readonly Place[] = [
  ['opmask', 832, 64],
  ['zmm_hi256', 896, 512],
  ['hi16_zmm', 1408, 1024],
]

const subleaf = ([name, offset, size]: Place): LayoutComponent =>
  Object.freeze({
    index: componentNamed(name).index,
    size,
    offset,
    alignedCompacted: name === 'xtilecfg' || name === 'xtiledata',
    supervisor: false,
    xfd: name === 'xtiledata',
  })

const source = (
  vendor: string,
  places: readonly Place[],
  withheld: readonly KnownComponentName[] = [],
): LayoutSource => {
  const xcr0 = maskOf(['x87', 'sse', ...places.map(([name]) => name)])
  return Object.freeze({
    vendor,
    xcr0,
    userFeatures: xcr0 & ~maskOf(withheld),
    components: Object.freeze(places.map(subleaf)),
    // AMD's bit 17 is MM, the misaligned exception mask (APM volume 1, 4.2.2).
    mxcsrMask: vendor === amd ? 0x2ffff : 0xffff,
  })
}

const intel = 'GenuineIntel'
const amd = 'AuthenticAMD'

const sapphireRapids: readonly Place[] = [avx, ...intelAvx512, intelPkru, ...amx]

/** The layouts, by CPU. `sapphire-rapids` is a task that has not touched its tiles, the next one a task that has. */
export const knownLayouts = Object.freeze({
  nehalem: Object.freeze({ ...source(intel, []), xcr0: 0n }),
  /** A virtual machine may show XSAVE and nothing beyond SSE. */
  'sse-only': source(intel, []),
  /** Broadwell, Zen 1 and Zen 2 alike. */
  haswell: source(intel, [avx]),
  skylake: source(intel, [avx, ...mpx]),
  'skylake-sp': source(intel, [avx, ...mpx, ...intelAvx512, intelPkru]),
  'ice-lake-sp': source(intel, [avx, ...intelAvx512, intelPkru]),
  'alder-lake': source(intel, [avx, intelPkru]),
  'sapphire-rapids': source(intel, sapphireRapids, ['xtiledata']),
  'sapphire-rapids-tiles': source(intel, sapphireRapids),
  /** As announced: APX in MPX's old place. */
  'diamond-rapids': source(intel, [...sapphireRapids, apx], ['xtiledata']),
  zen3: source(amd, [avx, ['pkru', 832, 8]]),
  /** Zen 5 alike. */
  zen4: source(amd, [avx, ...zenAvx512, ['pkru', 2432, 8]]),
} satisfies Record<string, LayoutSource>)

export type KnownLayoutName = keyof typeof knownLayouts
