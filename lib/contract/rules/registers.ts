/** Rules on the registers themselves, and on protection keys among them. */
import type { Rule } from '../rule.ts'

const restoring = 'arch/x86/kernel/fpu/signal.c, __fpu_restore_sig'

export const registerRules = [
  {
    id: 'registers-survive-context-switches',
    sentence: 'Registers survive context switches among threads of one CPU.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/include/asm/fpu/sched.h, switch_fpu',
  },
  {
    id: 'handler-changes-arrive',
    sentence: 'What a handler writes into its frame is in the registers afterwards.',
    status: 'established',
    holds: 'restored',
    commit: restoring,
  },
  {
    id: 'rejected-return-leaves-init',
    sentence: 'After a rejected frame all user state is at init, and nothing of another task is left in it.',
    status: 'established',
    holds: 'rejected',
    commit: 'd8778e393afa',
  },
  {
    id: 'fx-only-opens-all-keys',
    sentence: 'The FX-only fallback puts PKRU to 0: every protection key is open, without a word.',
    status: 'established',
    holds: 'fx-only',
    commit: restoring,
  },
  {
    id: 'failed-return-sets-default-keys',
    sentence:
      'After a frame that is rejected or absent, PKRU has the kernel’s default, which closes all keys but 0.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/core.c, fpu__clear_user_states',
  },
  {
    id: 'frame-has-the-interrupted-keys',
    sentence: 'The frame has PKRU as it was when the signal hit, whatever the kernel opened to write it.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/xstate.h, update_pkru_in_sigframe',
  },
  {
    id: 'delivery-opens-closed-stacks',
    sentence: 'A frame is delivered onto an alternate stack whose own protection key is closed.',
    status: 'since 6.12',
    holds: 'restored',
    before: ['undelivered'],
    commit: '70044df250d0, d10b554919d4',
  },
  {
    id: 'compat-rt-returns-from-closed-stacks',
    sentence: 'A 32-bit RT frame, or an x32 one, returns from an alternate stack that its own PKRU closes.',
    status: 'proposed',
    holds: 'restored',
    // Their returns read uc_stack behind the FPU state, so with the keys of the frame.
    before: ['undelivered', 'astray'],
    commit: 'nobody’s so far: compat_restore_altstack comes once PKRU is restored',
  },
] as const satisfies readonly Rule[]
