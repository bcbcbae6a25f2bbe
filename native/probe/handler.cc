// The probe's signal handler: record the frame as the kernel wrote it, edit it, record it as sent.
// Async-signal context: only raw system calls, no allocation, no vector register.
#include "probe/fire.h"
#include "probe/state.h"
#include "shared/futex.h"

namespace sigframe {
namespace {

/** struct rt_sigframe: the restorer's address, then the ucontext. */
constexpr size_t kUcontext = 8;

void record(uint32_t at, uintptr_t frame, const uint8_t* fpstate, uint32_t length) {
  if (at == 0) return;
  copyBytes(g.arena + at, reinterpret_cast<void*>(frame), kHeadBytes);
  copyBytes(g.arena + at + kRecordHead, fpstate, length);
}

/** Lets Node edit the frame in place. Ends by Node's reply, or with the process. */
void letNodeEdit() {
  Control& control = *g.control;
  control.live.store(static_cast<uint32_t>(Live::kFrameReady), std::memory_order_seq_cst);
  ringBell();
  while (control.live.load(std::memory_order_acquire) == static_cast<uint32_t>(Live::kFrameReady)) {
    futexWait(control.live, static_cast<uint32_t>(Live::kFrameReady), nullptr);
  }
}

}  // namespace

extern "C" void sigframe_on_signal(uintptr_t frame) {
  g.phase = Phase::kHandler;
  auto* context = reinterpret_cast<ucontext_t*>(frame + kUcontext);
  auto* fpstate = reinterpret_cast<uint8_t*>(context->uc_mcontext.fpregs);
  const auto base = reinterpret_cast<uintptr_t>(g.arena);
  const Control& control = *g.control;
  const uintptr_t stack = base + control.stack;
  const uintptr_t stackEnd = stack + control.stackBytes;
  const auto fp = reinterpret_cast<uintptr_t>(fpstate);
  if (frame < stack || frame + kHeadBytes > stackEnd || fp < frame + kHeadBytes || fp >= stackEnd) quit(81);

  Outcome& outcome = *g.outcome;
  outcome.frame = static_cast<uint32_t>(frame - base);
  outcome.fpstate = static_cast<uint32_t>(fp - base);
  if (g.request->writtenBytes > stackEnd - fp) quit(82);
  record(g.request->written, frame, fpstate, g.request->writtenBytes);

  if (g.request->flags & kRequestLive) {
    // Node reads from the ring where the frame is, and says there where it left it.
    letNodeEdit();
    if (!inArena(g.request->sentFrom, g.request->sentBytes) ||
        !inArena(g.request->sent, uint64_t{kRecordHead} + g.request->sentBytes)) {
      quit(83);
    }
    fpstate = g.arena + g.request->sentFrom;
  } else {
    fpstate = applyOps(context, fpstate);
    const auto sent = static_cast<uint64_t>(fpstate - g.arena);
    if (!inArena(sent, g.request->sentBytes)) quit(83);
  }
  outcome.sentFpstate = static_cast<uint32_t>(fpstate - g.arena);
  outcome.sentPointer = reinterpret_cast<uint64_t>(context->uc_mcontext.fpregs);
  record(g.request->sent, frame, fpstate, g.request->sentBytes);
  g.phase = Phase::kReturning;
}

}  // namespace sigframe
