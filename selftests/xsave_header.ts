import { futureFeature } from '../lib/contract/frames.ts'
import { needsExtended, needsMxcsrCheck } from '../lib/harness/needs.ts'
import { selftest } from '../lib/harness/selftest.ts'
import type { Layout } from '../lib/xstate/layout.ts'
import { legacyFeatures } from '../lib/xstate/layout.ts'

const wide = ['x86_64', 'x32'] as const
const xrstor = 'XRSTOR, SDM volume 1, 13.8.1'
const compacted = 1n << 63n
/** CPUID.(0xD,1):EAX bit 1: XSAVEC, and XRSTOR of what it writes. */
const xsavec = 2
/** Up to AVX both formats put everything at the same places. */
const inBothFormats = (layout: Layout): bigint => (layout.has('avx') ? 7n : legacyFeatures)

/** What XRSTOR, or the kernel for 32-bit frames, wants of header, MXCSR and alignment. */
export default selftest('xsave_header', {
  summary:
    'Header, MXCSR and alignment that XRSTOR does not take are a SIGSEGV, and leave all user state at init.',
  variants: 'once',
  cases: {
    future_xstate_bv: {
      summary: 'A component of a future CPU in XSTATE_BV, at the native size.',
      rule: 'unsupported-xstate-bv-is-rejected',
      commit: xrstor,
      edit: () => [{ op: 'or', field: 'xstateBv', value: futureFeature }],
    },
    xcomp_bv_63: {
      summary: 'XCOMP_BV bit 63 alone: a compacted frame that has nothing.',
      rule: 'corrupt-xcomp-bv-is-rejected',
      commit: xrstor,
      // Else its witness, which has nothing, is what it says.
      needs: needsExtended,
      edit: () => [{ op: 'or', field: 'xcompBv', value: compacted }],
    },
    xcomp_bv_0: {
      summary: 'XCOMP_BV bit 0 in a frame of the standard format.',
      rule: 'corrupt-xcomp-bv-is-rejected',
      commit: xrstor,
      edit: () => [{ op: 'or', field: 'xcompBv', value: 1 }],
    },
    compacted: {
      summary: 'A compacted frame with what both formats have at the same places.',
      rule: 'compacted-frame-restores',
      commit: xrstor,
      abis: wide,
      needs: ({ cpu }) => ((cpu.xsaveFeatures & xsavec) === 0 ? 'this CPU has no compacted format' : null),
      edit: ({ layout }) => [
        { op: 'and', field: 'xstateBv', value: inBothFormats(layout) },
        { op: 'set', field: 'xcompBv', value: compacted | inBothFormats(layout) },
      ],
    },
    reserved_528: {
      summary: 'Byte 528, the first reserved one behind XCOMP_BV, is not zero.',
      rule: 'reserved-header-is-rejected',
      commit: xrstor,
      abis: wide,
      edit: () => [{ op: 'fill', at: 528, length: 1, value: 1 }],
    },
    reserved_535: {
      summary: 'Byte 535, the last one that XRSTOR looks at, is not zero.',
      rule: 'reserved-header-is-rejected',
      commit: xrstor,
      abis: wide,
      edit: () => [{ op: 'fill', at: 535, length: 1, value: 0x80 }],
    },
    mxcsr_16: {
      summary: 'MXCSR bit 16, which no CPU has.',
      rule: 'reserved-mxcsr-is-rejected',
      commit: xrstor,
      abis: wide,
      needs: needsMxcsrCheck,
      edit: () => [{ op: 'or', field: 'mxcsr', value: 1 << 16 }],
    },
    mxcsr_31: {
      summary: 'MXCSR bit 31.',
      rule: 'reserved-mxcsr-is-rejected',
      commit: xrstor,
      abis: wide,
      needs: needsMxcsrCheck,
      edit: () => [{ op: 'or', field: 'mxcsr', value: 1n << 31n }],
    },
    misaligned_by_8: {
      summary: 'The frame lies 8 bytes behind where it should.',
      rule: 'misaligned-frame-is-rejected',
      commit: xrstor,
      abis: wide,
      placement: 'spare',
      edit: () => [{ op: 'move', at: 8 }],
    },
    misaligned_by_32: {
      summary: 'The frame lies 32 bytes behind where it should.',
      rule: 'misaligned-frame-is-rejected',
      commit: xrstor,
      abis: wide,
      placement: 'spare',
      edit: () => [{ op: 'move', at: 32 }],
    },
  },
})
