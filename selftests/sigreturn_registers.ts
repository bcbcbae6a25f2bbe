import type { EditField, EditOp } from '../lib/frame/edit.ts'
import { type CaseContext, type FrameCase, selftest } from '../lib/harness/selftest.ts'

const wide = ['x86_64', 'x32'] as const
const withUcontext = ['x86_64', 'ia32-rt', 'x32'] as const
const restoring = 'arch/x86/kernel/signal_64.c, restore_sigcontext'
const forcing = 'kernel/signal.c, force_sig_info_to_task'
// SDM volume 1, 3.4.3
const flags = { trap: 0x100, direction: 0x400, alignmentCheck: 0x4_0000 } as const
const sigsegv = 1n << 10n

/** SIGSEGV in the mask that the return sets. */
const blockSigsegv = ({ abi }: CaseContext): EditOp => ({
  op: 'or',
  field: abi === 'ia32' ? 'head.oldmask' : 'head.sigmask',
  value: sigsegv,
})

const setting =
  (field: EditField, value: bigint): FrameCase['edit'] =>
  () => [{ op: 'set', field, value }]

const raising =
  (flag: number): FrameCase['edit'] =>
  () => [{ op: 'or', field: 'head.eflags', value: flag }]

const survives = (summary: string, edit: FrameCase['edit']): FrameCase => ({
  summary,
  rule: 'frame-decides-the-registers',
  commit: restoring,
  edit,
})

const leadsAstray = (
  summary: string,
  edit: FrameCase['edit'],
  signal: FrameCase['signal'] = 'SIGSEGV',
): FrameCase => ({
  summary,
  signal,
  rule: 'astray-frame-signals-afterwards',
  commit: restoring,
  edit,
})

const badSegment = (summary: string, edit: FrameCase['edit']): FrameCase => ({
  summary,
  rule: 'bad-segments-are-a-signal',
  commit: restoring,
  edit,
})

/** What a frame says of the rest of the machine: registers, flags, segments, signal mask, stack. Each in a fork. */
export default selftest('sigreturn_registers', {
  summary:
    'General registers, flags, segments, mask and stack of a frame take effect, and spare the FPU state.',
  variants: 'once',
  cases: {
    sigsegv_blocked: {
      summary: 'A frame with SIGSEGV in its mask and a corrupt header: nobody can catch the answer.',
      rule: 'blocked-sigsegv-kills',
      commit: forcing,
      edit: context => [blockSigsegv(context), { op: 'or', field: 'xcompBv', value: 1 }],
    },
    sigsegv_blocked_alone: survives('A good frame with SIGSEGV in its mask.', context => [
      blockSigsegv(context),
    ]),
    alignment_check: survives('EFLAGS with AC.', raising(flags.alignmentCheck)),
    direction: survives('EFLAGS with DF.', raising(flags.direction)),
    trap: leadsAstray(
      'EFLAGS with TF: a SIGTRAP from the first instruction.',
      raising(flags.trap),
      'SIGTRAP',
    ),
    rip_null: leadsAstray('RIP 0.', setting('head.rip', 0n)),
    rip_non_canonical: {
      ...leadsAstray('RIP that is not canonical.', setting('head.rip', 1n << 63n)),
      abis: wide,
    },
    rip_kernel: {
      ...leadsAstray('RIP in the kernel.', setting('head.rip', 0xffff_ffff_8100_0000n)),
      abis: wide,
    },
    cs_null: badSegment('A null code segment.', setting('head.cs', 0n)),
    ss_null: badSegment('A null stack segment.', setting('head.ss', 0n)),
    rsp_null: survives('RSP 0: nothing of the stack is touched by the return.', setting('head.rsp', 0n)),
    uc_flags_zero: {
      ...survives('uc_flags without UC_FP_XSTATE.', () => [
        { op: 'and', field: 'head.ucFlags', value: 0xffff_fffen },
      ]),
      abis: withUcontext,
    },
    uc_stack_nonsense: {
      ...survives('uc_stack with flags that no stack has.', setting('head.ucStackFlags', 0xffn)),
      abis: withUcontext,
    },
  },
})
