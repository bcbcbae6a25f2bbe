import { isIa32 } from '../lib/frame/abi.ts'
import { ampleStack } from '../lib/harness/needs.ts'
import { type FrameCase, selftest } from '../lib/harness/selftest.ts'
import { deliverable, refusedBelow } from '../lib/harness/trials/stacks.ts'
import type { StackState } from '../lib/probe/request.ts'

const source = 'arch/x86/kernel/signal.c, get_sigframe'
const copying = 'arch/x86/kernel/fpu/signal.c, copy_fpstate_to_sigframe'
const resident = 'd9c9ce34ed5c'
/** MINSIGSTKSZ of the uapi: the least that sigaltstack takes, whatever the frames need. */
const minSigStkSz = 2048

const ontoStack = (
  summary: string,
  state: StackState,
  { rule, commit }: Pick<FrameCase, 'rule' | 'commit'>,
): FrameCase => ({
  summary,
  rule,
  commit,
  edit: () => [],
  stack: context => ({ bytes: ampleStack(context), state }),
})

const faultsIn = { rule: 'delivery-faults-pages-in', commit: resident } as const
const needsWritable = { rule: 'delivery-needs-a-writable-stack', commit: copying } as const

/** The alternate signal stack: how large it must be, and what its pages may be when a frame is written. */
export default selftest('signal_stack', {
  summary:
    'Alternate signal stacks: their least size, and delivery onto pages that are absent, late or closed.',
  variants: 'once',
  cases: {
    minsigstksz: {
      summary: 'AT_MINSIGSTKSZ bytes take the largest frame of the task; what is really needed is told.',
      rule: 'minsigstksz-is-enough',
      commit: '1c33bb050750',
      needs: ({ cpu }) => (cpu.minSignalStack === 0 ? 'this kernel has no AT_MINSIGSTKSZ' : null),
      // sigaltstack takes no less than MINSIGSTKSZ, however small the frames are.
      trial: (probe, context) =>
        deliverable(probe, context, Math.max(context.cpu.minSignalStack, minSigStkSz)),
    },
    below_minimum: {
      summary: 'sigaltstack refuses less than MINSIGSTKSZ with ENOMEM.',
      rule: 'small-sigaltstack-is-refused',
      commit: 'kernel/signal.c, do_sigaltstack',
      trial: (probe, context) => refusedBelow(probe, context, minSigStkSz),
    },
    too_small: {
      summary: 'A stack that sigaltstack takes and the frame does not fit.',
      rule: ({ abi }) =>
        isIa32(abi) ? 'ia32-alternate-stack-is-not-overrun' : 'alternate-stack-is-not-overrun',
      commit: '2beb4a53fc3f',
      needs: ({ layout }) =>
        layout.size > minSigStkSz
          ? null
          : `frames of ${layout.size} bytes fit the least that sigaltstack takes`,
      edit: () => [],
      stack: () => ({ bytes: minSigStkSz }),
    },
    touched: ontoStack('Pages that were touched before.', 'plain', faultsIn),
    untouched: ontoStack('Pages that were never touched: the kernel faults them in.', 'fresh', faultsIn),
    late: ontoStack('userfaultfd serves the pages while the delivery waits.', 'late', faultsIn),
    readonly: ontoStack('Pages that cannot be written.', 'readonly', needsWritable),
    unreadable: ontoStack('Pages that cannot be touched at all.', 'unreadable', {
      ...needsWritable,
      commit: source,
    }),
  },
})
