/** Rules on where a frame lies when it is returned: arch/x86/kernel/fpu/signal.c, `restore_fpregs_from_user`. */
import type { Rule } from '../rule.ts'

const source = 'arch/x86/kernel/fpu/signal.c, fpu__restore_sig'

export const placeRules = [
  {
    id: 'null-fpstate-is-init',
    sentence: 'Without an fpstate all user state goes to init.',
    status: 'established',
    holds: 'init',
    commit: source,
  },
  {
    id: 'unreachable-fpstate-is-rejected',
    sentence: 'An fpstate that cannot be read is a SIGSEGV.',
    status: 'established',
    holds: 'rejected',
    commit: source,
  },
  {
    id: 'absent-pages-are-faulted-in',
    sentence: 'Pages of the frame that are not there yet are faulted in, and all of it is restored.',
    status: 'established',
    holds: 'restored',
    commit: 'arch/x86/kernel/fpu/signal.c, restore_fpregs_from_user',
  },
  {
    id: 'frame-may-end-a-mapping',
    sentence: 'A frame may end where nothing behind it can be read.',
    status: 'established',
    holds: 'restored',
    situation: 'a frame behind which nothing can be read',
    under: ({ magic2At }) => (magic2At === 'user_size' ? 'rejected' : 'restored'),
    commit: source,
  },
  {
    id: 'only-the-required-size-is-faulted-in',
    sentence: 'Only what the frame’s own components need is faulted in.',
    status: 'since portable',
    holds: 'restored',
    situation: 'a frame that cannot be read behind what its components need',
    under: ({ faultsIn }) => (faultsIn === 'required size' ? 'restored' : 'rejected'),
    commit: '3d69596c684b..391cac638edd',
  },
  {
    id: 'eviction-race-is-counted',
    sentence:
      'A good frame whose page another CPU evicts during the return may be rejected by kernels that fault in more than it needs: counted, not judged.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'repaired by 3d69596c684b..391cac638edd',
  },
  {
    id: 'short-claim-does-not-loop',
    sentence:
      'A component behind the claimed size, in a page that cannot be read, is a SIGSEGV and no endless loop.',
    status: 'established',
    holds: 'rejected',
    commit: 'd877550eaf2d',
  },
] as const satisfies readonly Rule[]
