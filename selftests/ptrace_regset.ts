import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import {
  badBuffers,
  coversHost,
  fpAgrees,
  fpSets,
  fpSetsSmaller,
  oddSizes,
  readsLarger,
  readsSmaller,
  reservedMxcsr,
  reservedSet,
  setsLarger,
  setsSmaller,
  supervisorSet,
  swBytesSet,
  swBytesTold,
  tilesWithoutUse,
  unsupportedBits,
  unusedMxcsr,
  xcompBvSet,
} from '../lib/harness/trials/regset-forms.ts'
import { restoresCheckpoint } from '../lib/harness/trials/tracer.ts'

const regset = 'kernel/ptrace.c, ptrace_regset'
const whole = 'arch/x86/kernel/fpu/regset.c, xstateregs_set'
const checking = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'
const legacy = 'arch/x86/kernel/fpu/regset.c, xfpregs_set'
const abis = ['x86_64'] as const

const needsTiles = ({ cpu }: CaseContext): string | null =>
  (cpu.xcr0 & (1n << 18n)) === 0n ? 'this host has no tiles' : null

/** The forms of the regsets with vector state: how large they are, what of them is checked, and what is not. */
export default selftest('ptrace_regset', {
  summary: 'What sizes and contents of a regset a tracer may read and set; what is refused changes nothing.',
  variants: 'once',
  cases: {
    covers_host: {
      summary: 'The regset is as large as the host’s components, not as the task’s.',
      rule: 'regset-covers-the-host',
      commit: 'arch/x86/kernel/fpu/xstate.c, update_regset_xstate_info',
      abis,
      trial: coversHost,
    },
    odd_size: {
      summary: 'Sizes that are no multiple of 8 are EINVAL.',
      rule: 'regset-sizes-are-words',
      commit: regset,
      abis,
      trial: oddSizes,
    },
    read_larger: {
      summary: 'A larger buffer is told the regset’s size; nothing behind it is touched.',
      rule: 'regset-reads-no-more-than-it-has',
      commit: regset,
      abis,
      trial: readsLarger,
    },
    read_smaller: {
      summary: 'A smaller buffer gets a part.',
      rule: 'regset-reads-in-part',
      commit: regset,
      abis,
      trial: readsSmaller,
    },
    set_smaller: {
      summary: 'Less than the whole is EFAULT, also what the task’s own components would take.',
      rule: 'regset-is-set-as-a-whole',
      commit: whole,
      abis,
      trial: setsSmaller,
    },
    set_larger: {
      summary: 'More than the whole is clipped, and set.',
      rule: 'regset-takes-no-more-than-it-has',
      commit: regset,
      abis,
      trial: setsLarger,
    },
    bad_buffer: {
      summary: 'A buffer at NULL, or where nothing can be read or written, is EFAULT.',
      rule: 'regset-needs-a-buffer',
      commit: whole,
      abis,
      trial: badBuffers,
    },
    unsupported_xstate_bv: {
      summary: 'Components that the host lacks are EINVAL.',
      rule: 'regset-unsupported-xstate-bv-is-refused',
      commit: checking,
      abis,
      trial: unsupportedBits,
    },
    supervisor_bits: {
      summary: 'PT, CET_U and CET_S are EINVAL.',
      rule: 'regset-supervisor-bits-are-refused',
      commit: checking,
      abis,
      trial: supervisorSet,
    },
    tiles_without_use: {
      summary: 'Tile data is EINVAL in a process that has not used tiles.',
      rule: 'regset-tiles-need-use',
      commit: checking,
      abis,
      needs: needsTiles,
      trial: tilesWithoutUse,
    },
    xcomp_bv: {
      summary: 'Any XCOMP_BV is EINVAL; the registers stay the task’s own.',
      rule: 'regset-xcomp-bv-is-refused',
      commit: '814fb7bb7db5',
      abis,
      trial: xcompBvSet,
    },
    reserved_header: {
      summary: 'Reserved bytes of the header are EINVAL.',
      rule: 'regset-reserved-header-is-refused',
      commit: checking,
      abis,
      trial: reservedSet,
    },
    reserved_mxcsr: {
      summary: 'Reserved bits of MXCSR are EINVAL with x87, with SSE, with AVX.',
      rule: 'regset-reserved-mxcsr-is-refused',
      commit: checking,
      abis,
      trial: reservedMxcsr,
    },
    unused_mxcsr: {
      summary: 'Without any of them they are not looked at, and not taken.',
      rule: 'regset-unused-mxcsr-is-ignored',
      commit: checking,
      abis,
      trial: unusedMxcsr,
    },
    sw_bytes: {
      summary: 'The sw bytes have XCR0, and neither magic nor size.',
      rule: 'regset-sw-bytes-tell-features',
      commit: 'arch/x86/kernel/fpu/xstate.c, xstate_fx_sw_bytes',
      abis,
      trial: swBytesTold,
    },
    sw_bytes_set: {
      summary: 'Nonsense in the sw bytes, before them and between components changes nothing.',
      rule: 'regset-sw-bytes-are-not-set',
      commit: checking,
      abis,
      trial: swBytesSet,
    },
    checkpoint: {
      summary:
        'CRIU’s way: read by a tracer, put into a frame, restored by sigreturn; every register is the same.',
      rule: 'regset-restores-as-frame',
      commit: 'checkpoint-restore/criu, criu/arch/x86/crtools.c, restore_fpu',
      abis,
      trial: restoresCheckpoint,
    },
    fp_agrees: {
      summary: 'NT_PRFPREG has the same x87 and SSE state.',
      rule: 'fp-regset-is-the-legacy-part',
      commit: 'arch/x86/kernel/fpu/regset.c, xfpregs_get',
      abis,
      trial: fpAgrees,
    },
    fp_set: {
      summary: 'NT_PRFPREG sets it, and leaves all else.',
      rule: 'fp-regset-sets-the-legacy-part',
      commit: legacy,
      abis,
      trial: fpSets,
    },
    fp_set_smaller: {
      summary: 'NT_PRFPREG in part is EINVAL.',
      rule: 'fp-regset-is-set-as-a-whole',
      commit: legacy,
      abis,
      trial: fpSetsSmaller,
    },
  },
})
