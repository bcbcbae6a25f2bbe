// The loop of the probe process: take a request from the ring, run it, publish the outcome.
#include <csignal>

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

constexpr size_t kXsaveHeader = 512;
constexpr size_t kXsaveHeaderBytes = 64;

bool imageInArena(uint64_t offset) { return offset % 64 == 0 && inArena(offset, kXsaveHeader + kXsaveHeaderBytes); }

bool wellFormed(const Request& request) {
  return imageInArena(request.load) && imageInArena(request.poison) && imageInArena(request.after) &&
         inArena(request.ops, uint64_t{request.opCount} * sizeof(Op)) &&
         (request.written == 0 || inArena(request.written, uint64_t{kRecordHead} + request.writtenBytes)) &&
         (request.sent == 0 || inArena(request.sent, uint64_t{kRecordHead} + request.sentBytes));
}

void runProbe() {
  const Request& request = *g.request;
  if (!wellFormed(request)) {
    g.outcome->ending = Ending::kHarness;
    return;
  }
  const Control& control = *g.control;
  Fire& fire = sigframe_fire;
  fire.stack = reinterpret_cast<uint64_t>(g.arena) + control.stack + control.stackBytes - control.headroom;
  fire.load = reinterpret_cast<uint64_t>(g.arena + request.load);
  fire.poison = reinterpret_cast<uint64_t>(g.arena + request.poison);
  fire.after = reinterpret_cast<uint64_t>(g.arena + request.after);
  fire.rfbm = request.rfbm;
  fire.signal = SIGUSR1;
  // XSAVE only ORs into the header (SDM vol. 1, 13.7).
  fillBytes(g.arena + request.after + kXsaveHeader, 0, kXsaveHeaderBytes);

  g.phase = Phase::kArmed;
  sigframe_fire64(&fire);
  g.phase = Phase::kIdle;
  if (g.outcome->ending == Ending::kNone) {
    g.outcome->ending = g.outcome->frame != 0 ? Ending::kReturned : Ending::kHarness;
  }
}

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

}  // namespace

void ringBell() {
  g.control->bell.fetch_add(1, std::memory_order_seq_cst);
  futexWake(g.control->bell);
}

void serve() {
  Control& control = *g.control;
  auto* requests = reinterpret_cast<Request*>(g.arena + kRequests);
  auto* outcomes = reinterpret_cast<Outcome*>(g.arena + kOutcomes);
  for (uint32_t done = control.completed.load();;) {
    if (control.submitted.load(std::memory_order_acquire) == done) waitForWork(control, done);
    const uint32_t slot = done % kRingSlots;
    g.request = &requests[slot];
    g.outcome = &outcomes[slot];
    *g.outcome = Outcome{};
    if (g.request->kind == RequestKind::kPlainLoop) {
      runPlainLoop();
    } else {
      runProbe();
    }
    control.completed.store(++done, std::memory_order_release);
    if (control.submitted.load(std::memory_order_acquire) == done) ringBell();
  }
}

}  // namespace sigframe
