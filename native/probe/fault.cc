// The signals that the kernel sends for a bad frame (or that a bad image earns at the load) are
// ordinary outcomes: recorded, and the probe goes on. Anything else ends the process by the signal
// itself, and Node reports that it died.
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "probe/fire.h"
#include "probe/state.h"

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

Where whereOf(Phase phase, uintptr_t rip) {
  const auto at = [rip](const char* label) { return rip == reinterpret_cast<uintptr_t>(label); };
  const bool raised = at(sigframe_fire64_raised);
  if (phase == Phase::kArmed && (at(sigframe_fire64_load) || at(sigframe_fire64_load_fx))) return Where::kLoad;
  if (phase == Phase::kArmed && raised) return Where::kDelivery;
  // The kernel has restored RIP from the frame by the time it finds the fpstate bad.
  if (phase == Phase::kReturning && raised) return Where::kSigreturn;
  return Where::kNone;
}

void dieOf(int signal) {
  KernelSigaction byDefault{};
  syscall(SYS_rt_sigaction, signal, &byDefault, nullptr, sizeof byDefault.mask);
  syscall(SYS_tgkill, getpid(), static_cast<pid_t>(syscall(SYS_gettid)), signal);
}

void onFault(int signal, siginfo_t* info, void* opaque) {
  auto* context = static_cast<ucontext_t*>(opaque);
  auto& rip = context->uc_mcontext.gregs[REG_RIP];
  const Where where = whereOf(g.phase, static_cast<uintptr_t>(rip));
  Outcome& outcome = *g.outcome;
  if (where == Where::kNone || outcome.faults++ != 0) return dieOf(signal);
  outcome.ending = Ending::kSignal;
  outcome.where = where;
  outcome.signal = signal;
  outcome.siCode = info->si_code;
  outcome.siAddr = reinterpret_cast<uint64_t>(info->si_addr);
  if (where == Where::kLoad) rip = reinterpret_cast<greg_t>(sigframe_fire64_skip);
}

template <typename Handler>
int install(int signal, Handler* handler, unsigned long flags) {
  KernelSigaction action{reinterpret_cast<const void*>(handler), flags | kSaRestorer, sigframe_restorer64, 0};
  return syscall(SYS_rt_sigaction, signal, &action, nullptr, sizeof action.mask) == 0 ? 0 : errno;
}

}  // namespace

int installSignals() {
  if (int error = install(SIGUSR1, sigframe_entry64, SA_SIGINFO)) return error;
  if (int error = install(SIGUSR2, sigframe_plain_entry64, SA_SIGINFO)) return error;
  for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    if (int error = install(signal, onFault, SA_SIGINFO | SA_ONSTACK | SA_NODEFER)) return error;
  }
  return 0;
}

}  // namespace sigframe
