#include "addon/link.h"

#include <sched.h>

#include <cstring>
#include <ctime>

#include "shared/futex.h"

namespace sigframe {
namespace {

/** How long one sleep lasts before the probe process is looked at: a dead one rings no bell. */
constexpr uint32_t kSliceMs = 10;
uint64_t nowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

/** A thread on one CPU, for as long as any of its sessions wants it there. */
struct Pin {
  int holders = 0;
  cpu_set_t here{};
  cpu_set_t before{};

  bool take() {
    const int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof before, &before) != 0) return false;
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    return sched_setaffinity(0, sizeof here, &here) == 0;
  }
  void release() { sched_setaffinity(0, sizeof before, &before); }
};
thread_local Pin pin;

}  // namespace

void Link::submit(uint32_t count) {
  Control& control = arena->control();
  control.submitted.fetch_add(count, std::memory_order_seq_cst);
  if (control.childIdle.load(std::memory_order_seq_cst) != 0) futexWake(control.submitted);
}

template <typename Check>
Waited Link::sleepUntil(uint32_t timeoutMs, Check check) {
  Control& control = arena->control();
  uint32_t progress = control.completed.load(std::memory_order_acquire);
  uint64_t since = 0;  // the clock is read only where the answer is not there at once
  uint64_t looked = 0;
  for (;;) {
    const uint32_t bell = control.bell.load(std::memory_order_seq_cst);
    Waited waited;
    if (check(control, &waited)) return waited;
    if (cancelled.load(std::memory_order_relaxed)) return Waited::kCancelled;
    if (since == 0) looked = since = nowMs();
    const timespec slice{0, kSliceMs * 1000000L};
    const bool rung = futexWait(control.bell, bell, &slice);
    if (check(control, &waited)) return waited;
    // Also when it rang, or a signal of Node's own cut the sleep short: a process that is dead, or rings for
    // nothing, or whose count goes to and fro must not be waited for without a bound.
    const uint64_t now = nowMs();
    if (!rung || now - looked >= kSliceMs) {
      looked = now;
      if (child.tryReap()) return check(control, &waited) ? waited : Waited::kEnded;
    }
    const uint32_t completed = control.completed.load(std::memory_order_acquire);
    if (static_cast<int32_t>(completed - progress) > 0) {
      progress = completed;
      since = now;
    }
    if (now - since >= timeoutMs) return child.tryReap() ? Waited::kEnded : Waited::kTimeout;
  }
}

Waited Link::wait(uint32_t target, uint32_t timeoutMs) {
  return sleepUntil(timeoutMs, [target](Control& control, Waited* waited) {
    if (static_cast<int32_t>(control.completed.load(std::memory_order_seq_cst) - target) >= 0) {
      *waited = Waited::kDone;
      return true;
    }
    if (control.live.load(std::memory_order_acquire) == static_cast<uint32_t>(Live::kFrameReady)) {
      *waited = Waited::kFrame;
      return true;
    }
    return false;
  });
}

void Link::gather() {
  if (gathered_) return;
  if (pin.holders == 0 && !pin.take()) return;
  pin.holders++;
  gathered_ = true;
  child.moveTo(pin.here);
}

void Link::scatter() {
  if (!gathered_) return;
  gathered_ = false;
  if (--pin.holders == 0) pin.release();
}

void Link::tellCpus() {
  cpu_set_t cpus = pin.before;
  if (pin.holders == 0 && sched_getaffinity(0, sizeof cpus, &cpus) != 0) CPU_ZERO(&cpus);
  static_assert(sizeof cpus == sizeof arena->control().allowedCpus);
  memcpy(arena->control().allowedCpus, &cpus, sizeof cpus);
}

void Link::spread() {
  scatter();
  // Where another session keeps the thread on one CPU, what it was allowed before.
  cpu_set_t cpus = pin.before;
  if (pin.holders == 0 && sched_getaffinity(0, sizeof cpus, &cpus) != 0) return;
  child.moveTo(cpus);
}

Waited Link::waitReady(uint32_t timeoutMs) {
  return sleepUntil(timeoutMs, [](Control& control, Waited* waited) {
    if (control.ready.load(std::memory_order_seq_cst) == 0) return false;
    *waited = Waited::kDone;
    return true;
  });
}

void Link::reply() {
  Control& control = arena->control();
  control.live.store(static_cast<uint32_t>(Live::kReplied), std::memory_order_seq_cst);
  futexWake(control.live);
}

}  // namespace sigframe
