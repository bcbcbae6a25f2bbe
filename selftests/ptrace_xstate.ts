import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import {
  isInFrame,
  isReadFromFrame,
  leavesOut,
  readsRegisters,
  setsRegisters,
} from '../lib/harness/trials/tracer.ts'

const upstream = 'tools/testing/selftests/x86/xstate.c'
const doors = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'

const isKeys = ({ components }: CaseContext): boolean => components.includes('pkru')

/** What a tracer reads and sets, component by component: NT_X86_XSTATE. */
export default selftest('ptrace_xstate', {
  summary: 'A tracer reads and sets each component of a stopped task; frames show it, and it shows frames.',
  variants: 'single components',
  cases: {
    read: {
      summary: 'The component is read as it is in the registers.',
      rule: 'regset-reads-registers',
      commit: upstream,
      abis: ['x86_64'],
      withLegacy: true,
      trial: readsRegisters,
    },
    inject: {
      summary: 'The component, set while the task is stopped, is in its registers when it goes on.',
      rule: context => (isKeys(context) ? 'regset-sets-keys' : 'regset-sets-registers'),
      commit: upstream,
      abis: ['x86_64'],
      withLegacy: true,
      trial: setsRegisters,
    },
    left_out: {
      summary: 'The component goes to init where XSTATE_BV leaves it out, whatever its bytes are.',
      rule: context =>
        isKeys(context) ? 'regset-puts-left-out-keys-to-init' : 'regset-puts-left-out-to-init',
      commit: doors,
      abis: ['x86_64'],
      withLegacy: true,
      trial: leavesOut,
    },
    shown_by_frame: {
      summary: 'What was set is in the frame of the next signal, and back after the return.',
      rule: context => (isKeys(context) ? 'regset-sets-keys' : 'regset-is-in-frames'),
      commit: doors,
      withLegacy: true,
      trial: isInFrame,
    },
    shows_frame: {
      summary: 'What a handler wrote into its frame is read after the return.',
      rule: 'frames-are-in-regset',
      commit: doors,
      withLegacy: true,
      trial: isReadFromFrame,
    },
  },
})
