// Probes that the process which runs them cannot survive, in a throw-away fork of this small process.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "probe/arch_prctl.h"
#include "probe/fire.h"
#include "probe/ia32.h"
#include "probe/state.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace sigframe {
namespace {

// ARCH_SHSTK_ENABLE and ARCH_SHSTK_SHSTK, since Linux 6.6: Documentation/arch/x86/shstk.rst.
constexpr long kShadowStackEnable = 0x5001;
constexpr uint64_t kShadowStack = 1;

[[noreturn]] void probeAndEnd(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) quit(0);
  g.isolated = true;
  sigframe_fire.tgid = static_cast<uint32_t>(getpid());
  sigframe_fire.tid = static_cast<uint32_t>(syscall(SYS_gettid));
  if (g.request->flags & kRequestShadowStack) {
    // Here, where nothing ever returns: functions that were entered before have no return address on the new stack.
    if (const long error = archPrctl(kShadowStackEnable, kShadowStack)) refuse(Refusal::kShadowStack, static_cast<int>(-error));
  }
  runProbe();
  quit(0);
}

/** Waits for the end, at most so long. False: it has not ended. Without pidfds (before 5.3) Node's watchdog waits. */
bool waitForEnd(pid_t pid, uint32_t timeoutMs) {
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return true;
  pollfd poller{static_cast<int>(fd), POLLIN, 0};
  const timespec timeout{static_cast<time_t>(timeoutMs / 1000), static_cast<long>(timeoutMs % 1000) * 1000000};
  // The time that Node takes for a live edit is not the fork's.
  const auto isNodesTurn = [] {
    return g.control->live.load(std::memory_order_acquire) == static_cast<uint32_t>(Live::kFrameReady);
  };
  int ready;
  bool wasNodesTurn;
  do {
    wasNodesTurn = isNodesTurn();
    ready = ppoll(&poller, 1, &timeout, nullptr);
  } while (ready < 0 ? errno == EINTR : ready == 0 && (wasNodesTurn || isNodesTurn()));
  close(static_cast<int>(fd));
  return ready != 0;
}

Where whereDied() {
  switch (phaseNow()) {
    case Phase::kArmed: return Where::kDelivery;
    case Phase::kHandler: return Where::kHandler;
    case Phase::kReturning: return Where::kSigreturn;
    case Phase::kIdle: break;
  }
  return Where::kNone;
}

void tellEnd(const siginfo_t& info) {
  Outcome& outcome = *g.outcome;
  if (info.si_code == CLD_EXITED && info.si_status == 0) {
    if (outcome.ending == Ending::kNone) outcome.ending = Ending::kHarness;
    return;
  }
  outcome.where = whereDied();
  outcome.ending = Ending::kDied;
  outcome.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  outcome.siCode = info.si_code == CLD_EXITED ? info.si_status : 0;
}

}  // namespace

void refuse(Refusal what, int error) {
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kRefused;
  outcome.signal = static_cast<int32_t>(what);
  outcome.siCode = error;
  quit(0);
}

void runIsolated() {
  Outcome& outcome = *g.outcome;
  setPhase(Phase::kIdle);
  const pid_t self = getpid();
  // fork() uses the thread's own storage.
  setThreadPointer();
  const pid_t pid = fork();
  if (pid == 0) probeAndEnd(self);
  if (pid < 0) {
    outcome.ending = Ending::kRefused;
    outcome.signal = static_cast<int32_t>(Refusal::kFork);
    outcome.siCode = errno;
    return;
  }
  const bool ended = waitForEnd(pid, g.request->timeoutMs);
  if (!ended) kill(pid, SIGKILL);
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0 && errno == EINTR) {
  }
  // A frame that waited in it waits no more.
  g.control->live.store(static_cast<uint32_t>(Live::kNone), std::memory_order_release);
  if (ended) return tellEnd(info);
  outcome.where = whereDied();
  outcome.ending = Ending::kTimeout;
}

}  // namespace sigframe
