// What the probe process knows while a probe is under way. One thread, so plain globals.
#pragma once

#include <ucontext.h>

#include "shared/arena.h"

namespace sigframe {

/** How far the current probe has come. Written before each step, read by the fault handler. */
enum class Phase : uint32_t { kIdle = 0, kArmed = 1, kHandler = 2, kReturning = 3 };

struct State {
  uint8_t* arena = nullptr;
  Control* control = nullptr;
  const Request* request = nullptr;  // in the ring; Node changes it only while a live frame waits
  Outcome* outcome = nullptr;        // in the ring
  volatile Phase phase = Phase::kIdle;
};

extern State g;

/** True where [offset, offset + length) lies in the arena behind the control page and the ring. */
inline bool inArena(uint64_t offset, uint64_t length) {
  const uint64_t bytes = g.control->bytes;
  return offset >= kFirstRegion && offset <= bytes && length <= bytes - offset;
}

/** Ends the process with `status`, having told Node nothing more. */
[[noreturn]] void quit(int status);

/** Executes the request's operations on the frame. Returns where the fpstate is then. */
uint8_t* applyOps(ucontext_t* context, uint8_t* fpstate);

/** Wakes Node. */
void ringBell();

/** Installs the handlers for the probe's signals and for the kernel's. Returns errno or 0. */
int installSignals();

/** Serves requests until killed. */
[[noreturn]] void serve();

/** The limit that the engine is measured against; fills outcome.elapsedNs. */
void runPlainLoop();

}  // namespace sigframe
