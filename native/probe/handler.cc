// The probe's signal handler: record the frame as the kernel wrote it, edit it, record it as sent.
// Async-signal context: only raw system calls, no allocation, no vector register.
#include <ucontext.h>

#include "probe/fire.h"
#include "probe/frame.h"
#include "probe/state.h"
#include "shared/futex.h"

namespace sigframe {
namespace {

// A record's head must leave room for the fsave header, which ends where the area begins.
static_assert(kHeadBytes <= kRecordHead && kHeadBytesX32 <= kRecordHead && kHeadBytesIa32Rt + kFsaveBytes <= kRecordHead &&
              kHeadBytesIa32 + kFsaveBytes <= kRecordHead);

void record(uint32_t at, const Frame& frame, uint32_t length) {
  if (at == 0) return;
  uint8_t* to = g.arena + at;
  const FrameShape& shape = *frame.shape;
  if (shape.headBytes == kHeadBytesIa32) {
    copyBytes(to, frame.head, kIa32FirstPart);
    copyBytes(to + kIa32FirstPart, frame.head + kIa32SecondPart, kHeadBytesIa32 - kIa32FirstPart);
  } else {
    copyBytes(to, frame.head, shape.headBytes);
  }
  const uint32_t before = shape.fsaveBytes;
  copyBytes(to + kRecordHead - before, frame.fpstate - before, before + length);
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

void takeFrame(Frame frame) {
  const Control& control = *g.control;
  const auto base = reinterpret_cast<uintptr_t>(g.arena);
  const uintptr_t stack = base + control.stack;
  const uintptr_t stackEnd = stack + control.stackBytes;
  const auto head = reinterpret_cast<uintptr_t>(frame.head);
  const auto area = reinterpret_cast<uintptr_t>(frame.fpstate);
  const FrameShape& shape = *frame.shape;
  if (head < stack || head >= stackEnd || area < head + shape.frameBytes + shape.fsaveBytes || area >= stackEnd) quit(81);

  Outcome& outcome = *g.outcome;
  outcome.frame = static_cast<uint32_t>(head - base);
  outcome.fpstate = static_cast<uint32_t>(area - base);
  if (g.request->writtenBytes > stackEnd - area) quit(82);
  record(g.request->written, frame, g.request->writtenBytes);

  if (g.request->flags & kRequestLive) {
    // Node reads from the ring where the frame is, and says there where it left it.
    letNodeEdit();
    if (!inArena(g.request->sentFrom, g.request->sentBytes) ||
        !inArena(g.request->sent, uint64_t{kRecordHead} + g.request->sentBytes)) {
      quit(83);
    }
    frame.fpstate = g.arena + g.request->sentFrom;
  } else {
    applyOps(&frame);
    if (!inArena(static_cast<uint64_t>(frame.fpstate - g.arena), g.request->sentBytes)) quit(83);
  }
  outcome.sentFpstate = static_cast<uint32_t>(frame.fpstate - g.arena);
  outcome.sentPointer = frame.pointer() + shape.fsaveBytes;
  record(g.request->sent, frame, g.request->sentBytes);
  if (g.isolated) applyPageOps(frame);
}

extern "C" void sigframe_on_signal(uintptr_t at) {
  // From somebody else, while nothing is loaded: as if it had not been.
  if (sigframe_fire.armed == 0) return;
  sigframe_fire.fired = 1;
  setPhase(Phase::kHandler);
  Frame frame{reinterpret_cast<uint8_t*>(at), nullptr, &shapeOf(g.request->abi)};
  frame.fpstate = reinterpret_cast<uint8_t*>(frame.pointer() + frame.shape->fsaveBytes);
  takeFrame(frame);
  setPhase(Phase::kReturning);
}

}  // namespace sigframe
