/**
 * Rules on NT_X86_XSTATE, the regset by which a tracer sees the state of a stopped task, and on NT_PRFPREG beside it:
 * arch/x86/kernel/fpu/regset.c, and the copies of arch/x86/kernel/fpu/xstate.c.
 */
import type { Rule } from '../rule.ts'

const reading = 'arch/x86/kernel/fpu/xstate.c, copy_xstate_to_uabi_buf'
const setting = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'
const checking = 'arch/x86/kernel/fpu/xstate.c, validate_user_xstate_header'
const regset = 'kernel/ptrace.c, ptrace_regset'
const whole = 'arch/x86/kernel/fpu/regset.c, xstateregs_set'
const fxregset = 'arch/x86/kernel/fpu/regset.c, xfpregs_set'

export const ptraceRules = [
  {
    id: 'regset-reads-registers',
    sentence: 'A tracer reads every register as the stopped task has it.',
    status: 'established',
    holds: 'as-stated',
    commit: reading,
  },
  {
    id: 'regset-sets-registers',
    sentence: 'What a tracer sets is in the registers when the task goes on.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'regset-puts-left-out-to-init',
    sentence: 'A component that XSTATE_BV leaves out of what a tracer sets goes to init.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'regset-sets-keys',
    sentence: 'A tracer sets PKRU as any other register.',
    status: 'since 6.2',
    holds: 'as-stated',
    // From 5.14 on, when PKRU left the XSAVE buffer, what was set was not heeded.
    before: ['kept'],
    commit: '4a804c4f8356',
  },
  {
    id: 'regset-puts-left-out-keys-to-init',
    sentence: 'PKRU that XSTATE_BV leaves out of what a tracer sets goes to init, as XRSTOR puts it.',
    status: 'since 6.2',
    holds: 'as-stated',
    before: ['kept'],
    commit: 'd7e5aceace51',
  },
  {
    id: 'regset-is-in-frames',
    sentence:
      'What a tracer has set is what the frame of the next signal shows, and what comes back from it.',
    status: 'established',
    holds: 'as-stated',
    commit: reading,
  },
  {
    id: 'frames-are-in-regset',
    sentence: 'What a frame has restored is what a tracer reads.',
    status: 'established',
    holds: 'as-stated',
    commit: reading,
  },
  {
    id: 'regset-restores-as-frame',
    sentence: 'What a tracer has read restores every register as a frame, once it has sw bytes and MAGIC2.',
    status: 'established',
    holds: 'as-stated',
    commit: 'checkpoint-restore/criu, criu/arch/x86/crtools.c, restore_fpu',
  },
  {
    id: 'regset-covers-the-host',
    sentence:
      'The regset is as large as all user components of the host in the standard format, whatever of them the task may use or uses.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'arch/x86/kernel/fpu/xstate.c, update_regset_xstate_info: fpu_user_cfg.max_size',
  },
  {
    id: 'regset-sizes-are-words',
    sentence: 'A size that is no multiple of 8 is EINVAL, read or set, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: regset,
  },
  {
    id: 'regset-reads-no-more-than-it-has',
    sentence: 'A larger buffer is told the regset’s size, and nothing is written behind that.',
    status: 'established',
    holds: 'as-stated',
    commit: regset,
  },
  {
    id: 'regset-reads-in-part',
    sentence: 'A smaller buffer gets as much of the regset as it takes.',
    status: 'established',
    holds: 'as-stated',
    commit: regset,
  },
  {
    id: 'regset-is-set-as-a-whole',
    sentence: 'Less than the whole regset is EFAULT, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: `${whole}; 91c3dba7dbc1`,
  },
  {
    id: 'regset-takes-no-more-than-it-has',
    sentence: 'Of a larger buffer as much is set as the regset has.',
    status: 'established',
    holds: 'as-stated',
    commit: `${regset}; 07d6688b22e0`,
  },
  {
    id: 'regset-needs-a-buffer',
    sentence: 'A buffer that cannot be read or written is EFAULT, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: whole,
  },
  {
    id: 'regset-unsupported-xstate-bv-is-refused',
    sentence: 'A component in XSTATE_BV that the host lacks is EINVAL, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
  {
    id: 'regset-supervisor-bits-are-refused',
    sentence: 'So are supervisor components (PT, CET_U, CET_S), which a regset never has.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
  {
    id: 'regset-tiles-need-use',
    sentence:
      'Tile data is EINVAL, though the regset has room for it, as long as the task has not used tiles: a permission is not enough.',
    status: 'established',
    holds: 'refused',
    commit: 'arch/x86/kernel/fpu/xstate.c, validate_user_xstate_header: fpstate->user_xfeatures',
  },
  {
    id: 'regset-xcomp-bv-is-refused',
    sentence: 'Any XCOMP_BV is EINVAL, also that of a proper compacted image, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: '814fb7bb7db5',
  },
  {
    id: 'regset-reserved-header-is-refused',
    sentence: 'Reserved bytes of the header that are not zero are EINVAL, and change nothing.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
  {
    id: 'regset-reserved-mxcsr-is-refused',
    sentence: 'Reserved bits in MXCSR are EINVAL where x87, SSE or AVX is set, and change nothing.',
    status: 'established',
    holds: 'refused',
    commit: setting,
  },
  {
    id: 'regset-unused-mxcsr-is-ignored',
    sentence: 'Where none of them is set, nobody looks at MXCSR.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'regset-sw-bytes-tell-features',
    sentence:
      'The sw bytes of the regset hold the host’s user features at 464 and nothing else: no magic, no size.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/xstate.c, xstate_fx_sw_bytes',
  },
  {
    id: 'regset-sw-bytes-are-not-set',
    sentence: 'What is set there, and where no component lies, is ignored.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'fp-regset-is-the-legacy-part',
    sentence: 'NT_PRFPREG has x87, SSE and MXCSR as NT_X86_XSTATE has them.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/regset.c, xfpregs_get',
  },
  {
    id: 'fp-regset-sets-the-legacy-part',
    sentence: 'NT_PRFPREG sets x87, SSE and MXCSR, and leaves every other component as it was.',
    status: 'established',
    holds: 'as-stated',
    commit: fxregset,
  },
  {
    id: 'fp-regset-is-set-as-a-whole',
    sentence: 'Less than its 512 bytes is EINVAL, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: `${fxregset}; 6164331d15f7`,
  },
] as const satisfies readonly Rule[]
