import { type CaseContext, selftest, type TrialCase } from '../lib/harness/selftest.ts'
import * as permissions from '../lib/harness/trials/permissions.ts'
import { permissible } from '../lib/probe/session.ts'

const asking = 'arch/x86/kernel/fpu/xstate.c, fpu_xstate_prctl'
const request = 'arch/x86/kernel/fpu/xstate.c, xstate_request_perm'

const needsGuarded = ({ cpu }: CaseContext): string | null =>
  permissible(cpu).length > 0 ? null : 'this host has no component that needs permission'

const once = (about: Pick<TrialCase, 'summary' | 'rule' | 'commit' | 'trial' | 'needs'>): TrialCase => ({
  abis: ['x86_64'],
  ...about,
})

/** arch_prctl's calls on components that a process gets only on its asking. */
export default selftest('xcomp_permission', {
  summary: 'The permission for components: who has it, how it is asked for, and when it ends.',
  variants: 'once',
  session: 'plain',
  cases: {
    supported: once({
      summary: 'ARCH_GET_XCOMP_SUPP is XCR0.',
      rule: 'xcomp-supported-is-xcr0',
      commit: asking,
      trial: permissions.supportsXcr0,
    }),
    permitted: once({
      summary: 'ARCH_GET_XCOMP_PERM of a new program: all that XFD does not guard.',
      rule: 'xcomp-permitted-is-what-needs-none',
      commit: 'db8268df0983',
      trial: permissions.permitsWhatNeedsNone,
    }),
    in_frames: once({
      summary: 'What is permitted is what the frames of a process have.',
      rule: 'xcomp-permitted-is-in-frames',
      commit: 'arch/x86/kernel/fpu/signal.c, save_sw_bytes',
      trial: permissions.isInFrames,
    }),
    wrong_arguments: once({
      summary: 'Components that need no permission, numbers of none, and addresses of no memory.',
      rule: 'xcomp-wrong-arguments-are-refused',
      commit: request,
      trial: permissions.refusesWrong,
    }),
    given: once({
      summary: 'ARCH_REQ_XCOMP_PERM gives what was asked for, and no more.',
      rule: 'xcomp-permission-is-given',
      commit: request,
      needs: needsGuarded,
      trial: permissions.isGiven,
    }),
    kept: once({
      summary: 'Asked for again, and for what cannot be had, it is there as before.',
      rule: 'xcomp-permission-is-kept',
      commit: request,
      needs: needsGuarded,
      trial: permissions.isKept,
    }),
    fork: once({
      summary: 'A forked child has it.',
      rule: 'xcomp-permission-survives-fork',
      commit: 'arch/x86/kernel/fpu/core.c, fpu_inherit_perms',
      needs: needsGuarded,
      trial: permissions.survivesFork,
    }),
    exec: once({
      summary: 'What is executed has not.',
      rule: 'xcomp-permission-ends-with-exec',
      commit: 'Documentation/arch/x86/xstate.rst',
      needs: needsGuarded,
      trial: permissions.endsWithExec,
    }),
  },
})
