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
int install(int signal, Handler* handler, unsigned long flags) {
  KernelSigaction action{reinterpret_cast<const void*>(handler), flags | kSaRestorer, sigframe_restorer64, 0};
  return syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask) == 0 ? 0 : errno;
}

}  // namespace

void setDefaultAction(int signal) {
  KernelSigaction byDefault{};
  syscall(SYS_rt_sigaction, signal, &byDefault, nullptr, sizeof byDefault.mask);
}

int installProbeActions(unsigned long flags) {
  if (int error = install(shapeOf(Abi::kX86_64).signal, sigframe_entry64, SA_SIGINFO | flags)) return error;
  if (g.control->x32Error == 0) {
    if (int error = installX32(shapeOf(Abi::kX32).signal, sigframe_entry64, SA_SIGINFO | flags)) return error;
  }
  if (g.control->ia32Error != 0) return 0;
  if (int error = installIa32(shapeOf(Abi::kIa32Rt).signal, sigframe_entry32_rt, SA_SIGINFO | flags)) return error;
  return installIa32(shapeOf(Abi::kIa32).signal, sigframe_entry32, flags);
}

int installFaultActions(unsigned long flags) {
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    if (int error = install(signal, onFault, SA_SIGINFO | SA_NODEFER | flags)) return error;
  }
  return 0;
}

int installActions() {
  if (int error = installFaultActions(SA_ONSTACK)) return error;
  if (int error = install(SIGUSR2, sigframe_plain_entry64, SA_SIGINFO)) return error;
  return installProbeActions(0);
}

}  // namespace sigframe
