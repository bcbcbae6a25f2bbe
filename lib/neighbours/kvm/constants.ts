/** The numbers of native/shared/kvm.h, looked up once, and the calls by their names. */
import type { Native } from '../../native-types.ts'

type Numbers = Native['arena']

const numbered = (numbers: Numbers, name: string): number => {
  const value = numbers[name]
  if (value === undefined) throw new Error(`the addon does not know ${name}: it belongs to another version`)
  return value
}

/** What can be asked, and how the kernel calls it. */
export const kvmCalls = {
  open: 'open',
  close: 'close',
  apiVersion: 'KVM_GET_API_VERSION',
  checkExtension: 'KVM_CHECK_EXTENSION',
  createVm: 'KVM_CREATE_VM',
  createVcpu: 'KVM_CREATE_VCPU',
  getXsave: 'KVM_GET_XSAVE',
  getXsave2: 'KVM_GET_XSAVE2',
  setXsave: 'KVM_SET_XSAVE',
  supportedCpuid: 'KVM_GET_SUPPORTED_CPUID',
  setCpuid2: 'KVM_SET_CPUID2',
  getAttribute: 'KVM_GET_DEVICE_ATTR',
  getXcr0: 'KVM_GET_XCRS',
  setXcr0: 'KVM_SET_XCRS',
  getMsr: 'KVM_GET_MSRS',
  setMsr: 'KVM_SET_MSRS',
  getPermissions: 'ARCH_GET_XCOMP_PERM',
  getGuestPermissions: 'ARCH_GET_XCOMP_GUEST_PERM',
  requestGuestPermission: 'ARCH_REQ_XCOMP_GUEST_PERM',
  plainLoop: 'the plain loop',
} as const

export type KvmDo = keyof typeof kvmCalls

export const kvmConstants = (numbers: Numbers) => ({
  first: numbered(numbers, 'first'),
  slots: numbered(numbers, 'kvmSlots'),
  mostCalls: numbered(numbers, 'mostKvmCalls'),
  callBytes: numbered(numbers, 'kvmCallBytes'),
  short: numbered(numbers, 'kvmShort'),
  ringSlots: numbered(numbers, 'ringSlots'),
  kind: numbered(numbers, 'RequestKind.kvm'),
  returned: numbered(numbers, 'Ending.returned'),
  requests: numbered(numbers, 'requests'),
  requestBytes: numbered(numbers, 'requestBytes'),
  outcomes: numbered(numbers, 'outcomes'),
  outcomeBytes: numbered(numbers, 'outcomeBytes'),
  ending: numbered(numbers, 'Outcome.ending'),
  request: {
    kind: numbered(numbers, 'Request.kind'),
    load: numbered(numbers, 'Request.load'),
    count: numbered(numbers, 'Request.count'),
  },
  call: {
    what: numbered(numbers, 'KvmCall.what'),
    flags: numbered(numbers, 'KvmCall.flags'),
    slot: numbered(numbers, 'KvmCall.slot'),
    into: numbered(numbers, 'KvmCall.into'),
    at: numbered(numbers, 'KvmCall.at'),
    room: numbered(numbers, 'KvmCall.room'),
    argument: numbered(numbers, 'KvmCall.argument'),
    value: numbered(numbers, 'KvmCall.value'),
    result: numbered(numbers, 'KvmCall.result'),
    error: numbered(numbers, 'KvmCall.error'),
  },
  waited: { done: numbered(numbers, 'Waited.done'), timeout: numbered(numbers, 'Waited.timeout') },
  codes: Object.fromEntries(
    Object.keys(kvmCalls).map(name => [name, numbered(numbers, `KvmDo.${name}`)]),
  ) as Record<KvmDo, number>,
})

export type KvmConstants = ReturnType<typeof kvmConstants>
