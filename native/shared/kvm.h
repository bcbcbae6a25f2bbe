// What Node asks of the process that holds its virtual machines: ioctls of /dev/kvm, one after the other. It is a probe
// process, started for this alone; the addon tells TypeScript the offsets, as those of the arena.
#pragma once

#include <cstdint>

namespace sigframe {

/** Descriptors that such a process can hold, by the number that Node gives them. */
constexpr uint32_t kKvmSlots = 128;
/** Calls of one request: more states would not stay in a cache, fewer would be lost to handshakes. */
constexpr uint32_t kMostKvmCalls = 128;

enum class KvmDo : uint32_t {
  kOpen = 1,           // the path in the bytes, ended by 0, into `into`
  kClose = 2,
  kApiVersion = 3,
  kCheckExtension = 4,  // of a device or a VM; `argument`
  kCreateVm = 5,        // of a device, into `into`
  kCreateVcpu = 6,      // of a VM, with id `argument`, into `into`
  kGetXsave = 7,
  kGetXsave2 = 8,
  kSetXsave = 9,
  kSupportedCpuid = 10,  // of a device, struct kvm_cpuid2 in the bytes
  kSetCpuid2 = 11,
  kGetAttribute = 12,  // group 0, attribute `argument`, to `value`
  kGetXcr0 = 13,       // to `value`
  kSetXcr0 = 14,
  kGetMsr = 15,  // MSR `argument`, to `value`
  kSetMsr = 16,
  kGetPermissions = 17,         // arch_prctl(ARCH_GET_XCOMP_PERM), to `value`
  kGetGuestPermissions = 18,    // arch_prctl(ARCH_GET_XCOMP_GUEST_PERM), to `value`
  kRequestGuestPermission = 19,  // arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM) of component `argument`
  kPlainLoop = 20,  // KVM_SET_XSAVE of the bytes and KVM_GET_XSAVE to those at `value`, `argument` times; nanoseconds to `value`
};

/** The buffer ends before the guard, and may be too short: a kernel that needs more of it says EFAULT. */
constexpr uint32_t kKvmShort = 1;

struct KvmCall {
  KvmDo what;
  uint32_t flags;
  uint32_t slot;
  uint32_t into;
  uint32_t at;    // arena offset of the bytes
  uint32_t room;  // how many of them may be read or written
  uint64_t argument;
  uint64_t value;
  int64_t result;  // as the call returned it
  int32_t error;   // errno, 0, or kKvmMalformed
  uint32_t unused;
};
static_assert(sizeof(KvmCall) == 56);

/** The call was not made: what was asked makes no sense. */
constexpr int32_t kKvmMalformed = -1;

}  // namespace sigframe
