/** Rules of 32-bit frames alone: arch/x86/kernel/fpu/signal.c, `__fpu_restore_sig` with `ia32_fxstate`. */
import type { Rule } from '../rule.ts'

const source = 'arch/x86/kernel/fpu/signal.c, __fpu_restore_sig'

export const ia32Rules = [
  {
    id: 'fsave-header-has-the-x87-state',
    sentence: 'x87 comes from the fsave header; the copy of it in the XSAVE area is ignored.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/regset.c, convert_to_fxsr',
  },
  {
    id: 'fsave-header-needs-the-x87-bit',
    sentence: 'Where XSTATE_BV lacks x87, it goes to init whatever the fsave header says.',
    status: 'established',
    holds: 'restored',
    commit: source,
  },
  {
    id: 'ia32-mxcsr-is-the-areas',
    sentence: 'MXCSR comes from the XSAVE area.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate',
  },
  {
    id: 'ia32-frame-may-be-misaligned',
    sentence: 'A 32-bit frame is copied, so its fpstate may lie anywhere.',
    status: 'established',
    holds: 'restored',
    commit: source,
  },
  {
    id: 'ia32-leaves-nothing-over',
    sentence: 'Components that XSTATE_BV leaves out go to init, not to what was in the registers before.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate',
  },
  {
    id: 'ia32-reads-what-xstate-bv-names',
    sentence:
      'Components that XSTATE_BV leaves out are not read: a frame may end before them, whatever it claims.',
    status: 'established',
    holds: 'restored',
    situation: 'a 32-bit frame that ends before components that its XSTATE_BV leaves out',
    under: ({ magic2At, tooSmall }) =>
      magic2At === 'user_size' || tooSmall === 'rejected' ? 'rejected' : 'restored',
    commit: 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate',
  },
  {
    id: 'ia32-sw-bytes-are-written',
    sentence:
      'The sw bytes of a 32-bit frame are as those of a 64-bit one, with the fsave header in extended_size.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/signal.c, save_sw_bytes',
  },
] as const satisfies readonly Rule[]
