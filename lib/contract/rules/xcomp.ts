/** Rules on the permission for components that need one: arch/x86/kernel/fpu/xstate.c, fpu_xstate_prctl. */
import type { Rule } from '../rule.ts'

const asking = 'arch/x86/kernel/fpu/xstate.c, fpu_xstate_prctl'
const request = 'arch/x86/kernel/fpu/xstate.c, xstate_request_perm'

export const xcompRules = [
  {
    id: 'xcomp-supported-is-xcr0',
    sentence: 'ARCH_GET_XCOMP_SUPP names the components of XCR0, with or without permission.',
    status: 'established',
    holds: 'as-stated',
    commit: asking,
  },
  {
    id: 'xcomp-permitted-is-what-needs-none',
    sentence: 'A new program may use the components of XCR0 that XFD does not guard, and no other.',
    status: 'established',
    holds: 'as-stated',
    commit: 'db8268df0983',
  },
  {
    id: 'xcomp-permission-is-given',
    sentence: 'ARCH_REQ_XCOMP_PERM gives the permission for a component that needs one, and for no other.',
    status: 'established',
    holds: 'as-stated',
    commit: request,
  },
  {
    id: 'xcomp-permission-is-kept',
    sentence: 'Nothing that is asked afterwards takes it back, and asking again succeeds.',
    status: 'established',
    holds: 'as-stated',
    commit: request,
  },
  {
    id: 'xcomp-permission-survives-fork',
    sentence: 'A child has the permissions of its parent.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/core.c, fpu_inherit_perms',
  },
  {
    id: 'xcomp-permission-ends-with-exec',
    sentence: 'A program that is executed has to ask anew.',
    status: 'established',
    holds: 'as-stated',
    commit: 'Documentation/arch/x86/xstate.rst',
  },
  {
    id: 'xcomp-wrong-arguments-are-refused',
    sentence:
      'A component that needs no permission is EOPNOTSUPP, none at all EINVAL, a bad address EFAULT, and nothing is given.',
    status: 'established',
    holds: 'as-stated',
    commit: request,
  },
  {
    id: 'xcomp-permitted-is-in-frames',
    sentence: 'The frames of a process have the components that it may use.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/signal.c, save_sw_bytes',
  },
] as const satisfies readonly Rule[]
