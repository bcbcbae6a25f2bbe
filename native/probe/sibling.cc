#include "probe/sibling.h"

#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "probe/fire.h"
#include "probe/frame_shape.h"
#include "probe/state.h"

namespace sigframe {
namespace {

constexpr long kUntilAsleep = 30000;     // ns: from "about to sleep" to asleep
constexpr long kTimerDelay = 100000;     // ns: from arming the timer to the load, and some
constexpr uint32_t kSpins = ~0U;         // minutes of pause instructions: the fork is ended before
constexpr uint32_t kSleepPart = 2;       // of the fork's time: a probe whose signal came too early must not sleep for ever

struct Sibling {
  cpu_set_t cpus;
  void (*main)();
};
// One that raises, one that serves page faults, one that evicts: each kind once.
constexpr int kMostSiblings = 3;
Sibling siblings[kMostSiblings];
int siblingCount = 0;
timer_t timer;
uint64_t timerWindow;  // below 4 GiB, as everything that is linked into this process
timespec sleepLimit;

void* runSibling(void* opaque) {
  const auto& sibling = *static_cast<const Sibling*>(opaque);
  sched_setaffinity(0, sizeof sibling.cpus, &sibling.cpus);
  sibling.main();
  return nullptr;
}

/** Keeps this thread on its CPU; the sibling's CPU is found among all that Node may have. */
cpu_set_t chooseCpus(Beside where) {
  cpu_set_t all, here;
  static_assert(sizeof all == sizeof g.control->allowedCpus);
  // Not what this process may have now: Node keeps it on one CPU, for speed.
  copyBytes(&all, g.control->allowedCpus, sizeof all);
  const int cpu = sched_getcpu();
  if (cpu < 0) refuse(Refusal::kOtherCpu, errno);
  CPU_ZERO(&here);
  CPU_SET(cpu, &here);
  if (sched_setaffinity(0, sizeof here, &here) != 0) refuse(Refusal::kOtherCpu, errno);
  if (where == Beside::kSameCpu) return here;
  CPU_CLR(cpu, &all);
  if (CPU_COUNT(&all) == 0) refuse(Refusal::kOtherCpu, ENODEV);
  return all;
}

/** However long others keep that thread from its CPU: the end of the fork ends this one. */
void waitArmed() {
  while (sigframe_fire.armed == 0) sched_yield();
}

void send() {
  syscall(SYS_tgkill, sigframe_fire.tgid, sigframe_fire.tid, sigframe_fire.signal);
}

void wakeSleeper() {
  waitArmed();
  pauseBriefly(kUntilAsleep);
  // From here to the end of this thread nothing else is in this CPU's registers.
  loadSibling();
  send();
}

void interruptSpinner() {
  loadSibling();
  waitArmed();
  send();
}

/** The timer may be faster than the load: its signal is blocked until the registers are loaded. */
void prepareTimer() {
  timerWindow = uint64_t{1} << (sigframe_fire.signal - 1);
  sigframe_fire.window = reinterpret_cast<uint64_t>(&timerWindow);
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &timerWindow, nullptr, sizeof timerWindow);
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = static_cast<int>(sigframe_fire.signal);
  event._sigev_un._tid = static_cast<pid_t>(sigframe_fire.tid);
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) refuse(Refusal::kTimer, errno);
  itimerspec when{};
  when.it_value.tv_nsec = kTimerDelay;
  if (syscall(SYS_timer_settime, timer, 0, &when, nullptr) != 0) refuse(Refusal::kTimer, errno);
}

}  // namespace

void pauseBriefly(long nanoseconds) {
  const timespec time{0, nanoseconds};
  nanosleep(&time, nullptr);
}

void loadSibling() {
  if (sigframe_fire.fxsave == 0 && g.request->sibling != 0) loadImage(g.arena + g.request->sibling, g.request->rfbm);
}

void startSibling(Beside where, void (*main)()) {
  if (siblingCount == kMostSiblings) refuse(Refusal::kSibling, ENOSPC);
  Sibling& sibling = siblings[siblingCount++];
  sibling = Sibling{chooseCpus(where), main};
  pthread_t thread;
  if (const int error = pthread_create(&thread, nullptr, runSibling, &sibling)) refuse(Refusal::kSibling, error);
}

void prepareRaise(Raise raise) {
  Fire& fire = sigframe_fire;
  fire.how = How::kSyscall;
  fire.number = SYS_tgkill;
  fire.arguments[0] = fire.tgid;
  fire.arguments[1] = fire.tid;
  fire.arguments[2] = fire.signal;
  switch (raise) {
    case Raise::kTgkill:
    case Raise::kFake:
      return;
    case Raise::kStill:
      // It has fired already.
      fire.how = How::kSpin;
      return;
    case Raise::kTgkill32:
      fire.how = How::kCode32;
      fire.number = 270;  // asm/unistd_32.h: tgkill
      return;
    case Raise::kBlocked: {
      const uint32_t limitMs = g.request->timeoutMs / kSleepPart;
      sleepLimit = timespec{static_cast<time_t>(limitMs / 1000), static_cast<long>(limitMs % 1000) * 1000000};
      fire.number = SYS_ppoll;
      fire.arguments[0] = fire.arguments[1] = fire.arguments[3] = fire.arguments[4] = 0;
      fire.arguments[2] = reinterpret_cast<uint64_t>(&sleepLimit);
      return startSibling(Beside::kSameCpu, wakeSleeper);
    }
    case Raise::kTimer:
      fire.how = How::kWindow;
      fire.number = ~uint64_t{0};
      fire.spins = kSpins;
      return prepareTimer();
    case Raise::kIpi:
      fire.how = How::kSpin;
      fire.spins = kSpins;
      return startSibling(Beside::kOtherCpu, interruptSpinner);
  }
}

}  // namespace sigframe
