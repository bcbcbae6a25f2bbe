// The door to KVM: opens the device, makes virtual machines and their CPUs, and hands their state over, as Node asks. It
// lives in a process of its own. The kernel ties a VM to the memory of whoever made it and tells it of each change there;
// a permission for guests can never be given back; and a kernel that writes more than it says writes into the arena,
// not into Node. When this process ends, all of it is closed.
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "probe/state.h"
#include "shared/kvm.h"

// Linux 5.17.
#ifndef KVM_CAP_XSAVE2
#define KVM_CAP_XSAVE2 208
#endif

namespace sigframe {
namespace {

// As the header declares arrays at the ends of structures, C++ makes these larger than C does: the offsets of the arrays
// and the numbers of the ioctls, which have the sizes in them, would be others. So these are ours.
constexpr uint32_t kXsaveBytes = 4096;  // struct kvm_xsave
/** struct kvm_cpuid2, without its entries. */
struct CpuidHead {
  uint32_t entries, padding;
};
/** struct kvm_msrs with one entry. */
struct OneMsr {
  uint32_t count, padding;
  kvm_msr_entry entry;
};
constexpr unsigned long kGetXsave = _IOC(_IOC_READ, KVMIO, 0xa4, kXsaveBytes);
constexpr unsigned long kGetXsave2 = _IOC(_IOC_READ, KVMIO, 0xcf, kXsaveBytes);
constexpr unsigned long kSetXsave = _IOC(_IOC_WRITE, KVMIO, 0xa5, kXsaveBytes);
constexpr unsigned long kGetSupportedCpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, sizeof(CpuidHead));
constexpr unsigned long kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, sizeof(CpuidHead));
constexpr unsigned long kGetMsrs = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x88, offsetof(OneMsr, entry));
constexpr unsigned long kSetMsrs = _IOC(_IOC_WRITE, KVMIO, 0x89, offsetof(OneMsr, entry));
static_assert(sizeof(CpuidHead) == 8 && offsetof(OneMsr, entry) == 8 && sizeof(kvm_cpuid_entry2) == 40 &&
              sizeof(kvm_msr_entry) == 16 && sizeof(kvm_device_attr) == 24);

constexpr int kArchGetXcompPerm = 0x1022;  // arch/x86/include/uapi/asm/prctl.h
constexpr int kArchGetXcompGuestPerm = 0x1024;
constexpr int kArchReqXcompGuestPerm = 0x1025;

/** A descriptor, and of a VM and its CPUs how many bytes KVM_GET_XSAVE2 writes and KVM_SET_XSAVE reads. */
struct Slot {
  int fd = -1;
  uint32_t xsaveBytes = 0;
};
Slot slots[kKvmSlots];

uint64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

uint8_t* bytesOf(const KvmCall& call) { return g.arena + call.at; }

/** Bytes that the kernel reads or writes at the call's buffer; 0 where it takes none. */
uint64_t bytesNeeded(const KvmCall& call) {
  switch (call.what) {
    case KvmDo::kOpen: return 1;
    case KvmDo::kGetXsave: return kXsaveBytes;
    case KvmDo::kGetXsave2:
    case KvmDo::kSetXsave:
    case KvmDo::kPlainLoop: return slots[call.slot].xsaveBytes;
    case KvmDo::kSupportedCpuid:
    case KvmDo::kSetCpuid2: {
      if (call.room < sizeof(CpuidHead)) return sizeof(CpuidHead);
      const auto* head = reinterpret_cast<const CpuidHead*>(bytesOf(call));
      return sizeof(CpuidHead) + uint64_t{head->entries} * sizeof(kvm_cpuid_entry2);
    }
    default: return 0;
  }
}

/** True where [offset, offset + length) lies in the arena's data: elsewhere there is the guard, too. */
bool inData(uint64_t offset, uint64_t length) {
  const Control& control = *g.control;
  return offset >= control.data && offset - control.data <= control.dataBytes &&
         length <= control.dataBytes - (offset - control.data);
}

bool wellFormed(const KvmCall& call) {
  if (call.slot >= kKvmSlots || call.into >= kKvmSlots) return false;
  const bool state =
      call.what == KvmDo::kGetXsave || call.what == KvmDo::kGetXsave2 || call.what == KvmDo::kSetXsave;
  if (state && (call.flags & kKvmShort) != 0)
    return call.at + uint64_t{call.room} == uint64_t{g.control->spare} + g.control->spareBytes &&
           call.room <= g.control->spareBytes;
  if (call.room == 0) return bytesNeeded(call) == 0;
  if (call.at % alignof(uint64_t) != 0) return false;
  if (!inData(call.at, call.room)) return false;
  if (call.what == KvmDo::kOpen) return bytesOf(call)[call.room - 1] == 0;
  if (call.what == KvmDo::kPlainLoop && !inData(call.value, bytesNeeded(call))) return false;
  return bytesNeeded(call) <= call.room;
}

int64_t keep(uint32_t into, int fd, uint32_t xsaveBytes) {
  if (fd < 0) return fd;
  if (slots[into].fd >= 0) close(slots[into].fd);
  slots[into] = Slot{fd, xsaveBytes};
  return 0;
}

int64_t closeSlot(uint32_t slot) {
  const int fd = slots[slot].fd;
  slots[slot] = Slot{};
  return close(fd);
}

int64_t createVm(const KvmCall& call) {
  const int fd = ioctl(slots[call.slot].fd, KVM_CREATE_VM, 0);
  if (fd < 0) return fd;
  const int bytes = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);
  // Without the capability there is KVM_GET_XSAVE alone, and its size.
  return keep(call.into, fd, bytes > static_cast<int>(kXsaveBytes) ? static_cast<uint32_t>(bytes) : kXsaveBytes);
}

int64_t createVcpu(const KvmCall& call) {
  const Slot vm = slots[call.slot];
  return keep(call.into, ioctl(vm.fd, KVM_CREATE_VCPU, call.argument), vm.xsaveBytes);
}

int64_t getAttribute(KvmCall& call, int fd) {
  uint64_t value = 0;
  kvm_device_attr attribute{};
  attribute.attr = call.argument;
  attribute.addr = reinterpret_cast<uint64_t>(&value);
  const int64_t result = ioctl(fd, KVM_GET_DEVICE_ATTR, &attribute);
  if (result == 0) call.value = value;
  return result;
}

int64_t getXcr0(KvmCall& call, int fd) {
  kvm_xcrs xcrs{};
  const int64_t result = ioctl(fd, KVM_GET_XCRS, &xcrs);
  for (uint32_t i = 0; result == 0 && i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++)
    if (xcrs.xcrs[i].xcr == 0) call.value = xcrs.xcrs[i].value;
  return result;
}

int64_t setXcr0(const KvmCall& call, int fd) {
  kvm_xcrs xcrs{};
  xcrs.nr_xcrs = 1;
  xcrs.xcrs[0].value = call.value;
  return ioctl(fd, KVM_SET_XCRS, &xcrs);
}

/** Either way how many MSRs it was done with: none is no errno. */
int64_t doMsr(KvmCall& call, int fd) {
  OneMsr msrs{};
  msrs.count = 1;
  msrs.entry.index = static_cast<uint32_t>(call.argument);
  const bool set = call.what == KvmDo::kSetMsr;
  if (set) msrs.entry.data = call.value;
  const int64_t result = ioctl(fd, set ? kSetMsrs : kGetMsrs, &msrs);
  if (!set && result == 1) call.value = msrs.entry.data;
  return result;
}

int64_t getPermissions(KvmCall& call, int option) {
  uint64_t mask = 0;
  const int64_t result = syscall(SYS_arch_prctl, option, &mask);
  if (result == 0) call.value = mask;
  return result;
}

int64_t plainLoop(KvmCall& call, int fd) {
  uint8_t* set = bytesOf(call);
  uint8_t* get = g.arena + call.value;
  const unsigned long getting = slots[call.slot].xsaveBytes > kXsaveBytes ? kGetXsave2 : kGetXsave;
  const uint64_t start = nowNs();
  for (uint64_t i = 0; i < call.argument; i++) {
    if (ioctl(fd, kSetXsave, set) != 0) return -1;
    if (ioctl(fd, getting, get) != 0) return -1;
  }
  call.value = nowNs() - start;
  return 0;
}

int64_t make(KvmCall& call) {
  const int fd = slots[call.slot].fd;
  switch (call.what) {
    case KvmDo::kOpen:
      return keep(call.into, open(reinterpret_cast<const char*>(bytesOf(call)), O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), 0);
    case KvmDo::kClose: return closeSlot(call.slot);
    case KvmDo::kApiVersion: return ioctl(fd, KVM_GET_API_VERSION, 0);
    case KvmDo::kCheckExtension: return ioctl(fd, KVM_CHECK_EXTENSION, call.argument);
    case KvmDo::kCreateVm: return createVm(call);
    case KvmDo::kCreateVcpu: return createVcpu(call);
    case KvmDo::kGetXsave: return ioctl(fd, kGetXsave, bytesOf(call));
    case KvmDo::kGetXsave2: return ioctl(fd, kGetXsave2, bytesOf(call));
    case KvmDo::kSetXsave: return ioctl(fd, kSetXsave, bytesOf(call));
    case KvmDo::kSupportedCpuid: return ioctl(fd, kGetSupportedCpuid, bytesOf(call));
    case KvmDo::kSetCpuid2: return ioctl(fd, kSetCpuid2, bytesOf(call));
    case KvmDo::kGetAttribute: return getAttribute(call, fd);
    case KvmDo::kGetXcr0: return getXcr0(call, fd);
    case KvmDo::kSetXcr0: return setXcr0(call, fd);
    case KvmDo::kGetMsr:
    case KvmDo::kSetMsr: return doMsr(call, fd);
    case KvmDo::kGetPermissions: return getPermissions(call, kArchGetXcompPerm);
    case KvmDo::kGetGuestPermissions: return getPermissions(call, kArchGetXcompGuestPerm);
    case KvmDo::kRequestGuestPermission: return syscall(SYS_arch_prctl, kArchReqXcompGuestPerm, call.argument);
    case KvmDo::kPlainLoop: return plainLoop(call, fd);
  }
  errno = ENOSYS;
  return -1;
}

}  // namespace

void runKvm() {
  const Request& request = *g.request;
  g.outcome->ending = Ending::kHarness;
  const uint64_t count = request.count;
  if (count > kMostKvmCalls || request.load % alignof(KvmCall) != 0 || !inData(request.load, count * sizeof(KvmCall)))
    return;
  auto* calls = reinterpret_cast<KvmCall*>(g.arena + request.load);
  for (uint64_t i = 0; i < count; i++) {
    // Node may be wrong about what it asks, and then is told so: nothing here rests on it.
    KvmCall call = calls[i];
    if (wellFormed(call)) {
      call.result = make(call);
      call.error = call.result < 0 ? errno : 0;
    } else {
      call.result = -1;
      call.error = kKvmMalformed;
    }
    calls[i].value = call.value;
    calls[i].result = call.result;
    calls[i].error = call.error;
  }
  g.outcome->ending = Ending::kReturned;
}

}  // namespace sigframe
