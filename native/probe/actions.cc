// The handlers of the probe's own signals, registered for each ABI in the way that makes the kernel write
// that ABI's frame.
#include "probe/actions.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "probe/fire.h"
#include "probe/frame_shape.h"
#include "probe/ia32.h"
#include "probe/state.h"
#include "probe/x32.h"

namespace sigframe {
namespace {

// The kernel's struct sigaction: glibc's wrapper installs its own restorer.
struct KernelSigaction {
  const void* handler;
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};
constexpr unsigned long kSaRestorer = 0x04000000;

template <typename Handler>
int install(int signal, Handler* handler, unsigned long flags, unsigned long mask = 0) {
  KernelSigaction action{reinterpret_cast<const void*>(handler), flags | kSaRestorer, sigframe_restorer64, mask};
  return syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask) == 0 ? 0 : errno;
}

}  // namespace

void setDefaultAction(int signal) {
  KernelSigaction byDefault{};
  syscall(SYS_rt_sigaction, signal, &byDefault, nullptr, sizeof byDefault.mask);
}

int installFaultActions(unsigned long flags) {
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    if (int error = install(signal, onFault, SA_SIGINFO | SA_NODEFER | flags)) return error;
  }
  return 0;
}

namespace {

/** Handlers of one kind, for the frames of each ABI. */
struct Entries {
  void (*entry64)(int);
  void (*entryX32)(int);
  void (*entry32Rt)(int);
  void (*entry32)(int);
};

/** Registers them for these signals, by Abi. Returns errno or 0. */
int installAll(const int (&signals)[kAbis], const Entries& entries, unsigned long flags, uint64_t mask) {
  const auto signalOf = [&signals](Abi abi) { return signals[static_cast<uint32_t>(abi)]; };
  if (int error = install(signalOf(Abi::kX86_64), entries.entry64, SA_SIGINFO | flags, mask)) return error;
  if (g.control->x32Error == 0) {
    if (int error = installX32(signalOf(Abi::kX32), entries.entryX32, SA_SIGINFO | flags, mask)) return error;
  }
  if (g.control->ia32Error != 0) return 0;
  if (int error = installIa32(signalOf(Abi::kIa32Rt), entries.entry32Rt, SA_SIGINFO | flags, mask)) return error;
  return installIa32(signalOf(Abi::kIa32), entries.entry32, flags, mask);
}

constexpr int kProbeSignals[] = {shapeOf(Abi::kX86_64).signal, shapeOf(Abi::kIa32Rt).signal, shapeOf(Abi::kIa32).signal,
                                 shapeOf(Abi::kX32).signal};

}  // namespace

int installProbeActions(unsigned long flags) {
  constexpr Entries kEntries{sigframe_entry64, sigframe_entry64, sigframe_entry32_rt, sigframe_entry32};
  return installAll(kProbeSignals, kEntries, flags, 0);
}

int installPlainActions() {
  constexpr Entries kEntries{sigframe_plain_entry64, sigframe_plain_entry64, sigframe_plain_entry32_rt,
                             sigframe_plain_entry32};
  return installAll(kPlainSignals, kEntries, 0, 0);
}

int installStressActions() {
  constexpr Entries kEntries{sigframe_stress_entry64, sigframe_stress_entry_x32, sigframe_stress_entry32_rt,
                             sigframe_stress_entry32};
  // No handler may interrupt another: each leaves what the next one needs.
  constexpr uint64_t kMask = maskOf(kStressSignals) | maskOf(kStressTimers);
  if (int error = installAll(kStressSignals, kEntries, 0, kMask)) return error;
  return installAll(kStressTimers, kEntries, 0, kMask);
}

int installActions() {
  if (int error = installFaultActions(SA_ONSTACK)) return error;
  if (int error = installPlainActions()) return error;
  return installProbeActions(0);
}

}  // namespace sigframe
