import { isIa32 } from '../lib/frame/abi.ts'
import type { EditOp } from '../lib/frame/edit.ts'
import { ampleStack, needsMxcsrCheck, needsMxcsrWithoutSse } from '../lib/harness/needs.ts'
import { type FrameCase, selftest } from '../lib/harness/selftest.ts'
import type { Raise } from '../lib/probe/request.ts'
import type { Recorded } from '../lib/probe/result.ts'

const source = 'arch/x86/include/asm/fpu/sched.h, switch_fpu'
const siblingLeak = 'd8778e393afa'
// Bit 63 alone would describe a frame that has nothing, as witnesses may.
const corrupt: EditOp = { op: 'or', field: 'xcompBv', value: 1 }
const late: EditOp[] = [{ op: 'move' }, { op: 'pages', at: 0, length: 1, state: 'late' }]
const lateFirst: EditOp[] = [
  { op: 'move', at: 4096 - 384 },
  { op: 'pages', at: 0, length: 1, state: 'late' },
]

/** That the thread really slept while a sibling held the CPU. */
const slept = (seen: Recorded): string | null => (seen.slept > 0 ? null : 'the thread did not sleep')
const waited = (seen: Recorded): string | null => (seen.served > 0 ? null : 'no page was served late')

const restored = (summary: string, raise: Raise, reached?: FrameCase['reached']): FrameCase => ({
  summary,
  rule: 'untouched-frame-restores',
  commit: source,
  raise,
  ...(reached === undefined ? {} : { reached }),
  edit: () => [],
})

const rejected = (summary: string, raise: Raise, reached?: FrameCase['reached']): FrameCase => ({
  summary,
  rule: 'rejected-return-leaves-init',
  commit: siblingLeak,
  raise,
  ...(reached === undefined ? {} : { reached }),
  edit: () => [corrupt],
})

/** However the signal comes, the frame has what was in the registers, and a bad one leaves nothing of others. */
export default selftest('signal_sources', {
  summary:
    'Signals from 32-bit code, in a sleep, from timers and other CPUs; a sibling holds other values meanwhile.',
  variants: 'once',
  cases: {
    code32: restored('From 32-bit code, by int $0x80.', 'tgkill32'),
    blocked: restored(
      'While the thread sleeps in a system call and a sibling has its CPU.',
      'blocked',
      slept,
    ),
    timer: restored('From a timer, while the thread spins in user mode.', 'timer'),
    ipi: restored('From another CPU, while the thread spins in user mode.', 'ipi'),
    code32_rejected: rejected('From 32-bit code, and the frame is bad.', 'tgkill32'),
    blocked_rejected: rejected('In a sleep, and the frame is bad.', 'blocked', slept),
    timer_rejected: rejected('From a timer, and the frame is bad.', 'timer'),
    ipi_rejected: rejected('From another CPU, and the frame is bad.', 'ipi'),
    late_return: {
      summary: 'userfaultfd stops the return, and a sibling has the CPU meanwhile.',
      rule: 'absent-pages-are-faulted-in',
      commit: source,
      placement: 'late',
      reached: waited,
      edit: () => late,
    },
    late_return_rejected: {
      summary: 'The same where XRSTOR meets the fault, and then a reserved bit of MXCSR.',
      rule: 'rejected-return-leaves-init',
      commit: siblingLeak,
      placement: 'late',
      // A 32-bit witness without AVX has no component left that MXCSR goes with.
      needs: (context, traits) =>
        isIa32(context.abi) ? needsMxcsrWithoutSse(context) : needsMxcsrCheck(context, traits),
      reached: waited,
      edit: () => [{ op: 'or', field: 'mxcsr', value: 1 << 16 }, ...lateFirst],
    },
    late_delivery: {
      summary: 'userfaultfd stops the delivery, and a sibling has the CPU meanwhile.',
      rule: 'delivery-faults-pages-in',
      commit: 'd9c9ce34ed5c',
      reached: waited,
      stack: context => ({ bytes: ampleStack(context), state: 'late' }),
      edit: () => [],
    },
  },
})
