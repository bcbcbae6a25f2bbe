import { selftest } from '../lib/harness/selftest.ts'

const cetU = 1n << 11n
const cetS = 1n << 12n
const shadowStacks = 'arch/x86/kernel/shstk.c, restore_signal_shadow_stack'
const source = 'arch/x86/include/asm/fpu/xstate.h, XFEATURE_MASK_SUPERVISOR_ALL'

/** CET state is the supervisor's: a frame never has it, and cannot bring it. */
export default selftest('cet', {
  summary: 'Supervisor components, CET_U and CET_S, are neither in a frame nor taken from one.',
  variants: 'once',
  cases: {
    cet_u_in_xstate_bv: {
      summary: 'CET_U (bit 11) in XSTATE_BV is a SIGSEGV.',
      rule: 'supervisor-bits-are-rejected',
      commit: source,
      edit: () => [{ op: 'or', field: 'xstateBv', value: cetU }],
    },
    cet_s_in_xstate_bv: {
      summary: 'CET_S (bit 12) in XSTATE_BV is a SIGSEGV.',
      rule: 'supervisor-bits-are-rejected',
      commit: source,
      edit: () => [{ op: 'or', field: 'xstateBv', value: cetS }],
    },
    cet_in_xfeatures: {
      summary: 'Both in sw.xfeatures alone are ignored.',
      rule: 'supervisor-xfeatures-are-ignored',
      commit: source,
      edit: () => [{ op: 'or', field: 'sw.xfeatures', value: cetU | cetS }],
    },
    with_token: {
      summary: 'With a shadow stack, a frame that a signal left returns.',
      rule: 'untouched-frame-restores',
      commit: shadowStacks,
      abis: ['x86_64'],
      shadowStack: true,
      edit: () => [],
    },
    without_token: {
      summary: 'With a shadow stack, a frame that no signal made does not: there is no token for it.',
      rule: 'shadow-stack-wants-a-token',
      commit: shadowStacks,
      abis: ['x86_64'],
      shadowStack: true,
      raise: 'fake',
      edit: () => [],
    },
    not_in_frames: {
      summary: 'The frame that the kernel writes names neither.',
      rule: 'frame-describes-itself',
      commit: source,
      edit: () => [],
      verify: ({ written: { sw, xstateBv } }) =>
        ((sw.xfeatures | xstateBv) & (cetU | cetS)) === 0n ? null : 'the frame has supervisor components',
    },
  },
})
