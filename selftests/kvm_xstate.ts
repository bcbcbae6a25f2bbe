import { selftest } from '../lib/harness/selftest.ts'
import { comesBack, entersFrame, isLimited, leavesOut, takesFrame } from '../lib/harness/trials/kvm-states.ts'

const setting = 'arch/x86/kernel/fpu/core.c, fpu_copy_uabi_to_guest_fpstate'
const abis = ['x86_64'] as const

/** Each component in a virtual CPU, by KVM_SET_XSAVE and KVM_GET_XSAVE. */
export default selftest('kvm_xstate', {
  summary: 'Each component goes into a virtual CPU and comes back, also as the area of a signal frame.',
  variants: 'single components',
  cases: {
    round_trip: {
      summary: 'What is set is what is read: the component alone, and among all others.',
      rule: 'kvm-state-comes-back',
      commit: setting,
      abis,
      withLegacy: true,
      trial: comesBack,
    },
    left_out: {
      summary: 'The component is read at init where XSTATE_BV left it out, whatever its bytes were.',
      rule: 'kvm-left-out-goes-to-init',
      commit: setting,
      abis,
      trial: leavesOut,
    },
    limited_by_cpuid: {
      summary: 'The component is read if the guest’s CPUID has it, and kept if not.',
      rule: 'kvm-gets-what-the-guest-has',
      commit: '8647c52e9504',
      abis,
      trial: isLimited,
    },
    from_frame: {
      summary: 'The XSAVE area of a frame, as the kernel delivers it now, goes in and comes back the same.',
      rule: 'kvm-takes-frames',
      commit: setting,
      withLegacy: true,
      trial: takesFrame,
    },
    into_frame: {
      summary:
        'What is read of a virtual CPU goes into a frame, whose return restores every register from it.',
      rule: 'frames-take-kvm-states',
      commit: setting,
      abis,
      withLegacy: true,
      trial: entersFrame,
    },
  },
})
