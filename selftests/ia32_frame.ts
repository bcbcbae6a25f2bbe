import { maskFeatures, resizeTo } from '../lib/contract/frames.ts'
import type { EditOp } from '../lib/frame/edit.ts'
import { needsExtended, needsMxcsrWithoutSse } from '../lib/harness/needs.ts'
import { selftest } from '../lib/harness/selftest.ts'
import { fieldOffset } from '../lib/xstate/image.ts'
import { legacyFeatures, minXsaveSize } from '../lib/xstate/layout.ts'

const ia32 = ['ia32-rt', 'ia32'] as const
const copying = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'
const folding = 'arch/x86/kernel/fpu/regset.c, convert_to_fxsr'
const all = (1n << 64n) - 1n
const alignment = 64
const cacheLine = 64

/** A normal number: sign, exponent and integer bit of a valid 80-bit one. */
const number = '0123456789abcdef0040'
const otherNumber = 'fedcba9876543281ff3f'
const reservedMxcsr = 0x10000
const compacted = 1n << 63n

/** XSTATE_BV has x87 and SSE alone, sw.xfeatures all. */
const legacyBv: EditOp = { op: 'and', field: 'xstateBv', value: legacyFeatures }

/** A frame that claims to have everything and ends with the header; behind it nothing can be read. */
const cutBehindHeader = (): EditOp[] => [
  ...resizeTo(minXsaveSize),
  { op: 'move', guardAt: minXsaveSize + cacheLine },
]

/** What the 32-bit path does by itself, one rule at a time. */
export default selftest('ia32_frame', {
  summary: 'The 32-bit path: which copy of the x87 state wins, how the kernel checks what it copies.',
  variants: 'once',
  cases: {
    x87_of_the_area: {
      summary: 'Another x87 state in the XSAVE area alone is ignored.',
      rule: 'fsave-header-has-the-x87-state',
      commit: folding,
      abis: ia32,
      edit: () => [
        { op: 'write', at: fieldOffset.st, bytes: number },
        { op: 'set', field: 'fcw', value: 0x27f },
      ],
    },
    x87_of_the_header: {
      summary: 'Another x87 state in the fsave header alone arrives.',
      rule: 'fsave-header-has-the-x87-state',
      commit: folding,
      abis: ia32,
      edit: () => [
        { op: 'write', region: 'fsave', at: 28, bytes: number },
        { op: 'write', region: 'fsave', at: 38, bytes: otherNumber },
        // ST7, the last one.
        { op: 'write', region: 'fsave', at: 98, bytes: otherNumber },
        { op: 'set', field: 'fsave.cw', value: 0xffff_027f },
        // Another TOP, and all condition codes.
        { op: 'set', field: 'fsave.sw', value: 0xffff_6f00 },
      ],
    },
    x87_tag: {
      summary: 'The header’s tag word is brought down to one bit for each register.',
      rule: 'fsave-header-has-the-x87-state',
      commit: folding,
      abis: ia32,
      // Valid, zero, special, empty, twice.
      edit: () => [{ op: 'set', field: 'fsave.tag', value: 0xffff_e4e4 }],
    },
    x87_bit_clear: {
      summary: 'XSTATE_BV without x87: init, whatever the header says.',
      rule: 'fsave-header-needs-the-x87-bit',
      commit: copying,
      abis: ia32,
      edit: () => [
        { op: 'write', region: 'fsave', at: 28, bytes: number },
        { op: 'and', field: 'xstateBv', value: all ^ 1n },
      ],
    },
    mxcsr_of_the_area: {
      summary: 'Another MXCSR in the XSAVE area arrives.',
      rule: 'ia32-mxcsr-is-the-areas',
      commit: copying,
      abis: ia32,
      edit: () => [{ op: 'set', field: 'mxcsr', value: 0x9fc0 }],
      verify: seen => (seen.mxcsrState().restored ? null : 'MXCSR is not the frame’s'),
    },
    mxcsr_reserved: {
      summary: 'A reserved bit in MXCSR is a SIGSEGV, on emulated CPUs too.',
      rule: 'reserved-mxcsr-is-rejected',
      commit: copying,
      abis: ia32,
      edit: () => [{ op: 'or', field: 'mxcsr', value: reservedMxcsr }],
      needs: needsMxcsrWithoutSse,
    },
    header_528: {
      summary: 'Byte 528 of the header is not zero.',
      rule: 'reserved-header-is-rejected',
      commit: copying,
      abis: ia32,
      edit: () => [{ op: 'fill', at: 528, length: 1, value: 1 }],
    },
    header_536: {
      summary: 'Byte 536 of the header, which hardware ignores, is not zero.',
      rule: 'ia32-reserved-header-is-rejected',
      commit: copying,
      abis: ia32,
      edit: () => [{ op: 'fill', at: 536, length: 1, value: 1 }],
    },
    header_575: {
      summary: 'The last byte of the header is not zero.',
      rule: 'ia32-reserved-header-is-rejected',
      commit: copying,
      abis: ia32,
      edit: () => [{ op: 'fill', at: 575, length: 1, value: 0x80 }],
    },
    compacted: {
      summary: 'A compacted frame, which a 64-bit return takes.',
      rule: 'ia32-compacted-frame-is-rejected',
      commit: copying,
      abis: ia32,
      edit: ({ layout }) => {
        const features = layout.has('avx') ? 7n : legacyFeatures
        return [
          { op: 'and', field: 'xstateBv', value: features },
          { op: 'set', field: 'xcompBv', value: compacted | features },
        ]
      },
    },
    misaligned_by_1: {
      summary: 'The frame lies one byte behind where it should.',
      rule: 'ia32-frame-may-be-misaligned',
      commit: 'arch/x86/kernel/fpu/signal.c, __fpu_restore_sig',
      abis: ia32,
      placement: 'spare',
      edit: () => [{ op: 'move', at: 1 }],
    },
    misaligned_by_32: {
      summary: 'The frame lies 32 bytes behind where it should.',
      rule: 'ia32-frame-may-be-misaligned',
      commit: 'arch/x86/kernel/fpu/signal.c, __fpu_restore_sig',
      abis: ia32,
      placement: 'spare',
      edit: () => [{ op: 'move', at: alignment / 2 }],
    },
    nothing_left_over: {
      summary:
        'XSTATE_BV without what is above SSE: init, though the registers and the bytes hold something.',
      rule: 'ia32-leaves-nothing-over',
      commit: copying,
      abis: ia32,
      needs: needsExtended,
      edit: () => [legacyBv],
    },
    nothing_left_over_by_mask: {
      summary: 'The same by sw.xfeatures.',
      rule: 'ia32-leaves-nothing-over',
      commit: copying,
      abis: ia32,
      needs: needsExtended,
      edit: () => maskFeatures(legacyFeatures),
    },
    short_read: {
      summary: 'A frame that claims everything and ends with the header, XSTATE_BV with x87 and SSE alone.',
      rule: 'ia32-reads-what-xstate-bv-names',
      commit: copying,
      abis: ia32,
      placement: 'guard',
      needs: needsExtended,
      edit: () => [legacyBv, ...cutBehindHeader()],
    },
    component_beyond: {
      summary: 'The same with XSTATE_BV as it was: the next component cannot be read.',
      rule: 'short-claim-does-not-loop',
      commit: copying,
      abis: ia32,
      placement: 'guard',
      needs: needsExtended,
      edit: () => cutBehindHeader(),
    },
  },
})
