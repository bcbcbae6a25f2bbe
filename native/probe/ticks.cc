#include "probe/ticks.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

namespace sigframe {
namespace {

constexpr int kSignal = SIGXCPU;  // nobody else's: see frame_shape.h
constexpr uint32_t kMostTicks = 8;
// More often, and whoever waits would do nothing but to be interrupted.
constexpr uint64_t kLeastNs = 1000000;

volatile uint32_t ticks = 0;
uint32_t most = 0;
int timer = -1;

void onTick(int) { ticks = ticks + 1; }

}  // namespace

void startTicks(uint32_t milliseconds) {
  endTicks();
  ticks = 0;
  most = milliseconds == 0 ? 0 : kMostTicks;
  struct sigaction action {};
  action.sa_handler = onTick;  // without SA_RESTART
  action.sa_flags = SA_ONSTACK;
  if (sigaction(kSignal, &action, nullptr) != 0) return;
  sigevent event{};
  event.sigev_notify = SIGEV_SIGNAL;
  event.sigev_signo = kSignal;
  // By system call: glibc's timers have bookkeeping of their own.
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) {
    timer = -1;
    return;
  }
  const uint64_t partNs = uint64_t{milliseconds} * 1000000 / kMostTicks;
  const uint64_t tickNs = partNs < kLeastNs ? kLeastNs : partNs;
  const timespec tick{static_cast<time_t>(tickNs / 1000000000), static_cast<long>(tickNs % 1000000000)};
  const itimerspec times{tick, tick};
  syscall(SYS_timer_settime, timer, 0, &times, nullptr);
}

void restartTicks() { ticks = 0; }

bool ticksLeft() { return ticks < most; }

void endTicks() {
  if (timer >= 0) syscall(SYS_timer_delete, timer);
  timer = -1;
}

}  // namespace sigframe
