/** Rules on how a frame comes to be, and on what else of it the return believes: arch/x86/kernel/signal*.c. */
import type { Rule } from '../rule.ts'

const source = 'arch/x86/kernel/signal.c, get_sigframe'
const sigreturn = 'arch/x86/kernel/signal_64.c, restore_sigcontext'

export const deliveryRules = [
  {
    id: 'delivery-faults-pages-in',
    sentence: 'A frame is written onto pages that are not there yet, and holds all state.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/signal.c, copy_fpstate_to_sigframe',
  },
  {
    id: 'delivery-needs-a-writable-stack',
    sentence: 'A frame that cannot be written is a SIGSEGV.',
    status: 'established',
    holds: 'undelivered',
    commit: source,
  },
  {
    id: 'alternate-stack-is-not-overrun',
    sentence: 'An alternate stack that is too small for the frame is a SIGSEGV; nothing is written below it.',
    status: 'established',
    holds: 'undelivered',
    commit: '2beb4a53fc3f',
  },
  {
    id: 'ia32-alternate-stack-is-not-overrun',
    sentence: 'Nor is one by a 32-bit frame.',
    status: 'since 6.2',
    holds: 'undelivered',
    before: ['restored'],
    commit: '9c36e592b3f8',
  },
  {
    id: 'minsigstksz-is-enough',
    sentence: 'An alternate stack of AT_MINSIGSTKSZ bytes takes every frame of the task.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: '1c33bb050750',
  },
  {
    id: 'small-sigaltstack-is-refused',
    sentence: 'sigaltstack refuses less than MINSIGSTKSZ (2048 bytes) with ENOMEM.',
    status: 'established',
    holds: 'as-stated',
    commit: 'kernel/signal.c, do_sigaltstack',
  },
  {
    id: 'blocked-sigsegv-kills',
    sentence: 'A bad frame that blocks SIGSEGV ends the process.',
    status: 'established',
    holds: 'killed',
    commit: 'kernel/signal.c, force_sig_info_to_task',
  },
  {
    id: 'frame-decides-the-registers',
    sentence: 'General registers and flags are the frame’s, and with them where the process goes on.',
    status: 'established',
    holds: 'restored',
    commit: sigreturn,
  },
  {
    id: 'astray-frame-signals-afterwards',
    sentence:
      'A frame that leads nowhere, or into a trap, is restored; the signal comes from where it leads.',
    status: 'established',
    holds: 'astray',
    commit: sigreturn,
  },
  {
    id: 'bad-segments-are-a-signal',
    sentence:
      'Segments with which no user code can run are a SIGSEGV behind the return; the state is restored.',
    status: 'established',
    holds: 'astray',
    commit: sigreturn,
  },
  {
    id: 'shadow-stack-wants-a-token',
    sentence:
      'With a shadow stack, a return without the token that a delivery leaves there is a SIGSEGV; the state is restored by then.',
    status: 'established',
    holds: 'astray',
    commit: 'arch/x86/kernel/shstk.c, restore_signal_shadow_stack',
  },
  {
    id: 'frames-need-no-signal',
    sentence: 'sigreturn restores a frame that no signal made.',
    status: 'established',
    holds: 'restored',
    commit: sigreturn,
  },
] as const satisfies readonly Rule[]
