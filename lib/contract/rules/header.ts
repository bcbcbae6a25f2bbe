/**
 * Rules on the XSAVE header and MXCSR of a frame. For 64-bit frames the hardware judges: XRSTOR in the kernel
 * faults (SDM volume 1, 13.8.1). For 32-bit frames the kernel judges as it copies (arch/x86/kernel/fpu/xstate.c,
 * `copy_uabi_to_xstate`, `validate_user_xstate_header`).
 */
import type { Rule } from '../rule.ts'

const hardware = 'XRSTOR, SDM volume 1, 13.8.1'
const copying = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'

export const headerRules = [
  {
    id: 'unsupported-xstate-bv-is-rejected',
    sentence: 'A component in XSTATE_BV that the CPU lacks is a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: hardware,
  },
  {
    id: 'corrupt-xcomp-bv-is-rejected',
    sentence: 'An XCOMP_BV that does not describe the frame is a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: hardware,
  },
  {
    id: 'compacted-frame-restores',
    sentence: 'A 64-bit frame in the compacted format restores, where the CPU knows the format.',
    status: 'established',
    holds: 'restored',
    commit: hardware,
  },
  {
    id: 'reserved-header-is-rejected',
    sentence: 'Reserved bytes of the header that are not zero are a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: hardware,
  },
  {
    id: 'reserved-mxcsr-is-rejected',
    sentence: 'Reserved bits in MXCSR are a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: hardware,
  },
  {
    id: 'misaligned-frame-is-rejected',
    sentence: 'A 64-bit frame whose fpstate is not 64-byte aligned is a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: hardware,
  },
  {
    id: 'hardware-judges-contents',
    sentence: 'What a component’s own bytes come to, a fault or other bytes, is for the hardware to say.',
    status: 'established',
    holds: 'restored',
    commit: hardware,
  },
  {
    id: 'supervisor-bits-are-rejected',
    sentence: 'Supervisor components (CET_U, CET_S) in XSTATE_BV are a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: hardware,
  },
  {
    id: 'supervisor-xfeatures-are-ignored',
    sentence: 'Supervisor components in sw.xfeatures alone are ignored.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/signal.c, __fpu_restore_sig',
  },
  {
    id: 'ia32-compacted-frame-is-rejected',
    sentence: 'A 32-bit frame with any XCOMP_BV is a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: copying,
  },
  {
    id: 'ia32-reserved-header-is-rejected',
    sentence:
      'All reserved bytes of a 32-bit frame’s header must be zero, also those that the hardware ignores.',
    status: 'established',
    holds: 'rejected',
    commit: copying,
  },
] as const satisfies readonly Rule[]
