// The loop of the probe process: take a request from the ring, run it, publish the outcome.
#include "probe/fire.h"
#include "probe/state.h"
#include "shared/futex.h"

namespace sigframe {
namespace {

/** XSTATE_BV 0: XRSTOR initialises every component of its mask, and takes MXCSR from here. */
struct alignas(64) InitImage {
  uint8_t x87[24] = {0x7f, 0x03};
  uint32_t mxcsr = 0x1f80;
  uint8_t rest[548] = {};
};
static_assert(sizeof(InitImage) == 576);
const InitImage kInitImage;

void waitForWork(Control& control, uint32_t done) {
  // What the last probe left in the registers must not ride along through every context switch.
  if (sigframe_fire.fxsave == 0) {
    asm volatile("xrstor64 %0" : : "m"(kInitImage), "a"(~0U), "d"(~0U) : "memory");
  }
  while (control.submitted.load(std::memory_order_acquire) == done) {
    control.childIdle.store(1, std::memory_order_seq_cst);
    if (control.submitted.load(std::memory_order_seq_cst) == done) futexWait(control.submitted, done, nullptr);
    control.childIdle.store(0, std::memory_order_relaxed);
  }
}

void run() {
  if (g.request->kind != RequestKind::kTraced) endTraced();
  switch (g.request->kind) {
    case RequestKind::kPlainLoop: return runPlainLoop();
    case RequestKind::kSwitch: return runSwitches();
    case RequestKind::kStress: return runStress();
    case RequestKind::kXrstor: return runXrstor();
    case RequestKind::kTraced: return runTraced();
    case RequestKind::kTraceLoop: return runTraceLoop();
    case RequestKind::kKvm: return runKvm();
    case RequestKind::kProbe: break;
  }
  if (g.request->flags & kRequestIsolated) return runIsolated();
  runProbe();
}

}  // namespace

void ringBell() {
  g.control->bell.fetch_add(1, std::memory_order_seq_cst);
  futexWake(g.control->bell);
}

void serve() {
  Control& control = *g.control;
  // What a handler loads that somebody else's signal enters before any probe.
  sigframe_fire.poison = reinterpret_cast<uint64_t>(&kInitImage);
  sigframe_fire.rfbm = ~uint64_t{0};
  auto* requests = reinterpret_cast<Request*>(g.arena + kRequests);
  auto* outcomes = reinterpret_cast<Outcome*>(g.arena + kOutcomes);
  for (uint32_t done = control.completed.load();;) {
    if (control.submitted.load(std::memory_order_acquire) == done) waitForWork(control, done);
    const uint32_t slot = done % kRingSlots;
    g.request = &requests[slot];
    g.outcome = &outcomes[slot];
    *g.outcome = Outcome{};
    run();
    control.completed.store(++done, std::memory_order_release);
    if (control.submitted.load(std::memory_order_acquire) == done) ringBell();
  }
}

}  // namespace sigframe
