// Probes that the process which runs them cannot survive, in a throw-away fork of this small process.
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "probe/fire.h"
#include "probe/state.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace sigframe {
namespace {

[[noreturn]] void probeAndEnd(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) quit(0);
  g.isolated = true;
  sigframe_fire.tgid = static_cast<uint32_t>(getpid());
  sigframe_fire.tid = static_cast<uint32_t>(syscall(SYS_gettid));
  runProbe();
  quit(0);
}

/** Waits for the end, at most so long. False: it has not ended. Without pidfds (before 5.3) Node's watchdog waits. */
bool waitForEnd(pid_t pid, uint32_t timeoutMs) {
  const long fd = syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) return true;
  pollfd poller{static_cast<int>(fd), POLLIN, 0};
  const timespec timeout{static_cast<time_t>(timeoutMs / 1000), static_cast<long>(timeoutMs % 1000) * 1000000};
  int ready;
  do {
    ready = ppoll(&poller, 1, &timeout, nullptr);
  } while (ready < 0 && errno == EINTR);
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
  if (ended) return tellEnd(info);
  outcome.where = whereDied();
  outcome.ending = Ending::kTimeout;
}

}  // namespace sigframe
