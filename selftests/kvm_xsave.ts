import { type CaseContext, selftest } from '../lib/harness/selftest.ts'
import {
  coversGuests,
  cpuidNeedsPermission,
  getXsaveIsSmall,
  ignoresMxcsr,
  keepsSupervisor,
  needsWholeBuffers,
  permissionIsForGuests,
  permissionIsLate,
  refusesMxcsr,
  refusesReserved,
  refusesSupervisor,
  refusesTiles,
  refusesUnsupported,
  refusesXcompBv,
  tellsComponents,
  tellsFeatures,
  writesWhatItSays,
} from '../lib/harness/trials/kvm-forms.ts'
import { isFresh, isLegacyBeforeCpuid, setsBeyondCpuid } from '../lib/harness/trials/kvm-states.ts'

const calls = 'arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl'
const checking = 'arch/x86/kernel/fpu/xstate.c, validate_user_xstate_header'
const copying = 'arch/x86/kernel/fpu/xstate.c, copy_uabi_to_xstate'
const permitting = 'arch/x86/kernel/fpu/xstate.c, xstate_request_perm'
/** Frames have no part in it. */
const only = { abis: ['x86_64'] } as const

const needsTiles = ({ cpu }: CaseContext): string | null =>
  (cpu.xcr0 & (1n << 18n)) === 0n ? 'this host has no tiles' : null

/** The forms of a virtual CPU's state: sizes, contents that are refused, permissions. */
export default selftest('kvm_xsave', {
  summary: 'What KVM gives and takes as the state of a virtual CPU, and what it refuses and leaves alone.',
  variants: 'once',
  session: 'plain',
  cases: {
    size: {
      summary: 'KVM_CAP_XSAVE2 beside what guests may have.',
      rule: 'kvm-size-covers-guests',
      commit: 'be50b2065dfa',
      ...only,
      trial: coversGuests,
    },
    components: {
      summary: 'KVM_X86_XCOMP_GUEST_SUPP beside the host, the permissions, and CPUID leaf 0xD.',
      rule: 'kvm-tells-guest-components',
      commit: 'dd6e63122021',
      ...only,
      trial: tellsComponents,
    },
    bytes_written: {
      summary: 'Both calls write as much as they say, into a buffer that is larger.',
      rule: 'kvm-writes-what-it-says',
      commit: calls,
      ...only,
      trial: writesWhatItSays,
    },
    short_buffer: {
      summary: 'Buffers that end before the state does, at memory that cannot be touched.',
      rule: 'kvm-needs-whole-buffers',
      commit: calls,
      ...only,
      trial: needsWholeBuffers,
    },
    sw_bytes: {
      summary: 'The host’s features at 464, whatever was set there.',
      rule: 'kvm-sw-bytes-tell-features',
      commit: 'arch/x86/kernel/fpu/xstate.c, xstate_fx_sw_bytes',
      ...only,
      trial: tellsFeatures,
    },
    fresh: {
      summary: 'The state of a virtual CPU that nobody has touched.',
      rule: 'kvm-fresh-state-is-init',
      commit: 'arch/x86/kernel/fpu/core.c, fpu_alloc_guest_fpstate',
      ...only,
      trial: isFresh,
    },
    before_cpuid: {
      summary: 'What is read before the guest was told what it has.',
      rule: 'kvm-gets-legacy-before-cpuid',
      commit: '8647c52e9504',
      ...only,
      trial: isLegacyBeforeCpuid,
    },
    beyond_cpuid: {
      summary: 'Components are set that the guest’s CPUID has not.',
      rule: 'kvm-sets-what-guests-may-have',
      commit: '8647c52e9504',
      ...only,
      trial: setsBeyondCpuid,
    },
    unsupported_bits: {
      summary: 'Bits of XSTATE_BV that this KVM has no component for.',
      rule: 'kvm-unsupported-xstate-bv-is-refused',
      commit: checking,
      ...only,
      trial: refusesUnsupported,
    },
    supervisor_bits: {
      summary: 'Bits of XSTATE_BV of supervisor components.',
      rule: 'kvm-supervisor-state-does-not-enter',
      commit: checking,
      ...only,
      trial: refusesSupervisor,
    },
    supervisor_state: {
      summary: 'State of supervisor components neither comes out nor is changed.',
      rule: 'kvm-supervisor-state-does-not-leave',
      commit: 'arch/x86/kernel/fpu/core.c, fpu_copy_guest_fpstate_to_uabi',
      ...only,
      trial: keepsSupervisor,
    },
    xcomp_bv: {
      summary: 'A compacted image, and other values of XCOMP_BV.',
      rule: 'kvm-xcomp-bv-is-refused',
      commit: checking,
      ...only,
      trial: refusesXcompBv,
    },
    reserved_header: {
      summary: 'Each reserved byte of the header.',
      rule: 'kvm-reserved-header-is-refused',
      commit: checking,
      ...only,
      trial: refusesReserved,
    },
    reserved_mxcsr: {
      summary: 'Reserved bits of MXCSR with each component that it goes with.',
      rule: 'kvm-reserved-mxcsr-is-refused',
      commit: copying,
      ...only,
      trial: refusesMxcsr,
    },
    unused_mxcsr: {
      summary: 'The same where no such component is set.',
      rule: 'kvm-unused-mxcsr-is-ignored',
      commit: copying,
      ...only,
      trial: ignoresMxcsr,
    },
    late_permission: {
      summary: 'A permission for guests that is asked for after the first virtual CPU.',
      rule: 'guest-permission-precedes-vcpus',
      commit: permitting,
      ...only,
      needs: needsTiles,
      trial: permissionIsLate,
    },
    early_permission: {
      summary: 'And before: what it changes for guests, and that it changes nothing for the process.',
      rule: 'guest-permission-is-for-guests',
      commit: permitting,
      ...only,
      needs: needsTiles,
      trial: permissionIsForGuests,
    },
    large_state: {
      summary: 'KVM_GET_XSAVE of a state with tiles.',
      rule: 'kvm-get-xsave-is-for-small-states',
      commit: 'be50b2065dfa',
      ...only,
      needs: needsTiles,
      trial: getXsaveIsSmall,
    },
    tiles_in_cpuid: {
      summary: 'A guest is told of tiles without a permission.',
      rule: 'kvm-cpuid-needs-permission',
      commit: '5ab2f45bba48',
      ...only,
      needs: needsTiles,
      trial: cpuidNeedsPermission,
    },
    tiles_in_state: {
      summary: 'Tile data is set without a permission.',
      rule: 'kvm-tiles-need-permission',
      commit: checking,
      ...only,
      needs: needsTiles,
      trial: refusesTiles,
    },
  },
})
