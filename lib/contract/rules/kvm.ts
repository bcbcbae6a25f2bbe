/**
 * Rules on KVM_GET_XSAVE, KVM_GET_XSAVE2 and KVM_SET_XSAVE, by which the state of a virtual CPU goes out and in:
 * arch/x86/kvm/x86.c, and the copies of arch/x86/kernel/fpu/ that it shares with ptrace and frames.
 */
import type { Rule } from '../rule.ts'

const getting = 'arch/x86/kernel/fpu/core.c, fpu_copy_guest_fpstate_to_uabi'
const setting = 'arch/x86/kernel/fpu/core.c, fpu_copy_uabi_to_guest_fpstate'
const copying = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'
const checking = 'arch/x86/kernel/fpu/xstate.c, validate_user_xstate_header'
const permitting = 'arch/x86/kernel/fpu/xstate.c, xstate_request_perm'
const calls = 'arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl'

export const kvmRules = [
  {
    id: 'kvm-size-covers-guests',
    sentence:
      'KVM_CAP_XSAVE2 is the size, in the standard format, of all components that guests may have; at least 4096.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'be50b2065dfa',
  },
  {
    id: 'kvm-tells-guest-components',
    sentence:
      'KVM_X86_XCOMP_GUEST_SUPP has every component that KVM has for guests; CPUID leaf 0xD offers those that are permitted.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'dd6e63122021',
  },
  {
    id: 'kvm-writes-what-it-says',
    sentence: 'KVM_GET_XSAVE writes 4096 bytes and KVM_GET_XSAVE2 those of KVM_CAP_XSAVE2: no byte more.',
    status: 'established',
    holds: 'as-stated',
    commit: calls,
  },
  {
    id: 'kvm-needs-whole-buffers',
    sentence: 'A buffer that ends before the state does is EFAULT, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: calls,
  },
  {
    id: 'kvm-get-xsave-is-for-small-states',
    sentence: 'KVM_GET_XSAVE is EINVAL where the state is larger than its 4096 bytes.',
    status: 'established',
    holds: 'refused',
    commit: 'be50b2065dfa',
  },
  {
    id: 'kvm-sw-bytes-tell-features',
    sentence: 'The sw bytes hold the host’s user features at 464 and nothing else: no magic, no size.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/xstate.c, xstate_fx_sw_bytes',
  },
  {
    id: 'kvm-fresh-state-is-init',
    sentence: 'A virtual CPU that never ran has every component at init, and MXCSR 0x1f80.',
    status: 'established',
    holds: 'as-stated',
    commit: 'arch/x86/kernel/fpu/core.c, fpu_alloc_guest_fpstate',
  },
  {
    id: 'kvm-state-comes-back',
    sentence: 'What is set in a virtual CPU is what is read of it.',
    status: 'established',
    holds: 'as-stated',
    commit: setting,
  },
  {
    id: 'kvm-left-out-goes-to-init',
    sentence: 'A component that XSTATE_BV leaves out of what is set is read at init.',
    status: 'established',
    holds: 'as-stated',
    commit: copying,
  },
  {
    id: 'kvm-gets-what-the-guest-has',
    sentence:
      'What is read has the components of the guest’s CPUID alone; the others are kept until it has them.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: 'ad856280ddea; 8647c52e9504',
  },
  {
    id: 'kvm-gets-legacy-before-cpuid',
    sentence: 'Before KVM_SET_CPUID2 only x87 and SSE are read, whatever was set, and nothing of it is lost.',
    status: 'since 6.6',
    holds: 'as-stated',
    // All of it was read: the limit came with the guest's CPUID.
    before: ['kept'],
    commit: '8647c52e9504',
  },
  {
    id: 'kvm-sets-what-guests-may-have',
    sentence: 'Whatever the guest’s CPUID says, every component that KVM has for guests can be set.',
    status: 'since 6.6',
    holds: 'as-stated',
    before: ['refused'],
    commit: '8647c52e9504',
  },
  {
    id: 'kvm-unsupported-xstate-bv-is-refused',
    sentence: 'A component in XSTATE_BV that KVM has not for guests is EINVAL, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: setting,
  },
  {
    id: 'kvm-supervisor-state-does-not-enter',
    sentence: 'Supervisor components (PT, PASID, CET_U, CET_S) in XSTATE_BV are EINVAL, and change nothing.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
  {
    id: 'kvm-supervisor-state-does-not-leave',
    sentence:
      'No supervisor component is read, what a guest has in it or not, and none is changed by what is set: its MSRs are the way.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: getting,
  },
  {
    id: 'kvm-xcomp-bv-is-refused',
    sentence: 'Any XCOMP_BV is EINVAL, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
  {
    id: 'kvm-reserved-header-is-refused',
    sentence: 'Reserved bytes of the header that are not zero are EINVAL, and change nothing.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
  {
    id: 'kvm-reserved-mxcsr-is-refused',
    sentence: 'Reserved bits in MXCSR are EINVAL where x87, SSE or AVX is set, and change nothing.',
    status: 'established',
    holds: 'refused',
    commit: copying,
  },
  {
    id: 'kvm-unused-mxcsr-is-ignored',
    sentence: 'Where none of them is set, nobody looks at MXCSR.',
    status: 'established',
    holds: 'as-stated',
    commit: copying,
  },
  {
    id: 'kvm-takes-frames',
    sentence: 'The XSAVE area of a signal frame can be set in a virtual CPU, and is read back the same.',
    status: 'established',
    holds: 'as-stated',
    commit: copying,
  },
  {
    id: 'frames-take-kvm-states',
    sentence:
      'What is read of a virtual CPU restores every register as a frame, between its sw bytes and MAGIC2.',
    status: 'established',
    holds: 'as-stated',
    commit: getting,
  },
  {
    id: 'guest-permission-precedes-vcpus',
    sentence: 'A permission for guests that comes after the first virtual CPU is EBUSY, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: `${permitting}; c270ce393dfd`,
  },
  {
    id: 'guest-permission-is-for-guests',
    sentence: 'A permission for guests is none for the process itself.',
    status: 'established',
    holds: 'as-stated',
    tells: true,
    commit: permitting,
  },
  {
    id: 'kvm-cpuid-needs-permission',
    sentence: 'KVM_SET_CPUID2 with a component that takes a permission is EPERM without it.',
    status: 'established',
    holds: 'refused',
    commit: '5ab2f45bba48',
  },
  {
    id: 'kvm-tiles-need-permission',
    sentence: 'Tile data in XSTATE_BV is EINVAL without a permission for guests, and changes nothing.',
    status: 'established',
    holds: 'refused',
    commit: checking,
  },
] as const satisfies readonly Rule[]
