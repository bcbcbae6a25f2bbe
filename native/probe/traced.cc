// Probes in a process that is traced: this one is the tracer, and does nothing to a stopped process but what the request
// says. The traced process is forked from this one for the first of a run of such requests, and ends with the last; it
// holds nothing in its registers, from one stop to the next, but what the request has loaded there.
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "probe/fire.h"
#include "probe/ia32.h"
#include "probe/state.h"
#include "probe/ticks.h"

namespace sigframe {
namespace {

pid_t traced = 0;  // 0: there is none

long trace(int request, uint64_t address, const void* data) {
  return syscall(SYS_ptrace, request, traced, address, data);
}

[[noreturn]] void serveTraced(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) quit(0);
  Control& control = *g.control;
  Fire& fire = sigframe_fire;
  fire.tgid = static_cast<uint32_t>(getpid());
  fire.tid = static_cast<uint32_t>(syscall(SYS_gettid));
  fire.stops = reinterpret_cast<uint64_t>(&control.traceStop);
  if (syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) != 0) {
    control.traceError = errno;
    quit(0);
  }
  for (;;) {
    g.request = reinterpret_cast<Request*>(g.arena + kRequests) + control.tracedSlot;
    g.outcome = reinterpret_cast<Outcome*>(g.arena + kOutcomes) + control.tracedSlot;
    runProbe();
  }
}

void tellRefusal(Refusal what, int error) {
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kRefused;
  outcome.signal = static_cast<int32_t>(what);
  outcome.siCode = error;
}

void tellEnd(int status) {
  Outcome& outcome = *g.outcome;
  if (g.control->traceError != 0) return tellRefusal(Refusal::kTraceMe, g.control->traceError);
  outcome.ending = Ending::kDied;
  outcome.where = Where::kNone;
  outcome.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  outcome.siCode = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

bool resume(int signal) {
  if (trace(PTRACE_CONT, 0, reinterpret_cast<void*>(static_cast<intptr_t>(signal))) == 0) return true;
  // Killed while it was stopped: how, the next wait tells.
  if (errno == ESRCH) return true;
  const int error = errno;
  endTraced();
  tellRefusal(Refusal::kTraceContinue, error);
  return false;
}

/** What its tracer hands on to it: the signal that it is asked for, and faults. Nobody else's reaches it. */
int handedOn(int signal) {
  const Request& request = *g.request;
  if (request.raise != Raise::kStill && signal == shapeOf(request.abi).signal) return signal;
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS}) {
    if (signal == fault) return signal;
  }
  return 0;
}

/** Waits until the process is at this stop, handing signals on meanwhile. False: it never will; the outcome says why. */
bool reach(Stop stop) {
  Control& control = *g.control;
  for (;;) {
    int status = 0;
    const long pid = ticksLeft() ? syscall(SYS_wait4, traced, &status, __WALL, nullptr) : 0;
    if (pid == 0) {
      endTraced();
      g.outcome->ending = Ending::kTimeout;
      return false;
    }
    if (pid < 0) {
      if (errno == EINTR) continue;
      const int error = errno;
      endTraced();
      tellRefusal(Refusal::kTraceWait, error);
      return false;
    }
    if (!WIFSTOPPED(status)) {
      traced = 0;
      endTraced();
      tellEnd(status);
      return false;
    }
    const int signal = WSTOPSIG(status);
    const auto at = static_cast<Stop>(control.traceStop.load(std::memory_order_relaxed));
    if (signal == SIGTRAP && at != Stop::kNone) {
      control.traceStop.store(static_cast<uint32_t>(Stop::kNone), std::memory_order_relaxed);
      if (at == stop) return true;
      // A load that faulted: the first stop was passed by.
      return at == Stop::kEnded;
    }
    if (!resume(handedOn(signal))) return false;
  }
}

void* bufferOf(const TraceCall& call) {
  switch (call.buffer) {
    case TraceBuffer::kArena: return g.arena + call.at;
    case TraceBuffer::kGuard: return g.arena + g.control->spare + g.control->spareBytes;
    case TraceBuffer::kNull: break;
  }
  return nullptr;
}

TraceCall* callsOf(const Request& request) { return reinterpret_cast<TraceCall*>(g.arena + request.stride); }

void makeCalls(const Request& request, Stop when) {
  TraceCall* call = callsOf(request);
  for (const TraceCall* end = call + request.threads; call != end; ++call) {
    if (call->when != when) continue;
    iovec buffer{bufferOf(*call), call->size};
    const int what = call->what == TraceDo::kSet ? PTRACE_SETREGSET : PTRACE_GETREGSET;
    call->error = trace(what, call->note, &buffer) == 0 ? 0 : errno;
    call->told = buffer.iov_len;
  }
}

bool wellFormed(const Request& request) {
  const uint64_t bytes = uint64_t{request.threads} * sizeof(TraceCall);
  // Nobody would wait for Node's edit.
  if (request.flags & kRequestLive) return false;
  if (request.threads > kMostTraceCalls || request.stride % alignof(TraceCall) != 0 || !inArena(request.stride, bytes)) {
    return false;
  }
  const TraceCall* call = callsOf(request);
  for (const TraceCall* end = call + request.threads; call != end; ++call) {
    if (call->buffer == TraceBuffer::kArena && !inArena(call->at, call->room)) return false;
  }
  const bool raised = request.raise == Raise::kTgkill || request.raise == Raise::kTgkill32;
  return isProbe(request) && (raised || request.raise == Raise::kStill);
}

/** Forks the process. It runs to its first stop. */
bool start() {
  // In time of its own: what went before has nothing to do with it.
  startTicks(g.request->timeoutMs);
  g.control->traceError = 0;
  const pid_t self = getpid();
  // fork() uses the thread's own storage.
  setThreadPointer();
  const pid_t pid = fork();
  if (pid == 0) serveTraced(self);
  if (pid > 0) {
    traced = pid;
    return true;
  }
  tellRefusal(Refusal::kFork, errno);
  endTicks();
  return false;
}

/** The request, from the first stop to the last. False: it ended before. */
bool doTraced(const Request& request) {
  Control& control = *g.control;
  const bool isFirst = traced == 0;
  control.tracedSlot = static_cast<uint32_t>(g.request - reinterpret_cast<Request*>(g.arena + kRequests));
  control.traceStop.store(static_cast<uint32_t>(Stop::kNone), std::memory_order_relaxed);
  setPhase(Phase::kIdle);
  restartTicks();
  if (isFirst ? !start() : !resume(0)) return false;
  if (!reach(Stop::kLoaded)) return false;
  if (isFirst && trace(PTRACE_SETOPTIONS, 0, reinterpret_cast<void*>(intptr_t{PTRACE_O_EXITKILL})) != 0) {
    const int error = errno;
    endTraced();
    tellRefusal(Refusal::kTraceOptions, error);
    return false;
  }
  // Of a load that faulted.
  if (g.outcome->ending != Ending::kNone) return true;
  makeCalls(request, Stop::kLoaded);
  if (!resume(0) || !reach(Stop::kEnded)) return false;
  makeCalls(request, Stop::kEnded);
  return true;
}

}  // namespace

void runTraced() {
  const Request& request = *g.request;
  Outcome& outcome = *g.outcome;
  if (!wellFormed(request)) {
    outcome.ending = Ending::kHarness;
    return;
  }
  TraceCall* const calls = callsOf(request);
  for (uint32_t i = 0; i < request.threads; i++) calls[i].error = kNotCalled;
  if (doTraced(request) && outcome.ending == Ending::kNone) {
    const bool asMeant = request.raise == Raise::kStill || outcome.frame != 0;
    outcome.ending = asMeant ? Ending::kReturned : Ending::kHarness;
  }
  if (request.flags & kRequestLastTraced) endTraced();
}

void endTraced() {
  endTicks();
  if (traced == 0) return;
  kill(traced, SIGKILL);
  // Where SIGKILL does not end it, Node's watchdog is the bound.
  for (int status = 0;;) {
    const long pid = syscall(SYS_wait4, traced, &status, __WALL, nullptr);
    if (pid == traced ? !WIFSTOPPED(status) : errno != EINTR) break;
  }
  traced = 0;
}

}  // namespace sigframe
