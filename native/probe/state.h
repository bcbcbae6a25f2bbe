// What the probe process knows while a probe is under way. Probes run in one thread, so plain globals.
#pragma once

#include "probe/frame_shape.h"
#include "shared/arena.h"

namespace sigframe {

/** How far the current probe has come. Written before each step, read by the fault handler. */
enum class Phase : uint32_t { kIdle = 0, kArmed = 1, kHandler = 2, kReturning = 3 };

struct State {
  uint8_t* arena = nullptr;
  Control* control = nullptr;
  const Request* request = nullptr;  // in the ring; Node changes it only while a live frame waits
  Outcome* outcome = nullptr;        // in the ring
  bool isolated = false;             // in a fork that ends with this probe
};

extern State g;

/** In shared memory: who forked us reads it when we are dead. */
inline void setPhase(Phase phase) {
  g.control->phase.store(static_cast<uint32_t>(phase), std::memory_order_relaxed);
}
inline Phase phaseNow() { return static_cast<Phase>(g.control->phase.load(std::memory_order_relaxed)); }

/** True where [offset, offset + length) lies in the arena behind the control page and the ring. */
inline bool inArena(uint64_t offset, uint64_t length) {
  const uint64_t bytes = g.control->bytes;
  return offset >= kFirstRegion && offset <= bytes && length <= bytes - offset;
}

constexpr size_t kXsaveHeader = 512;
constexpr size_t kXsaveHeaderBytes = 64;

/** True where an image can lie: it takes the header at least. */
inline bool imageInArena(uint64_t offset) {
  return offset % 64 == 0 && inArena(offset, kXsaveHeader + kXsaveHeaderBytes);
}

/** Whether frames of this ABI can be had. */
inline bool hasAbi(Abi abi) {
  if (isIa32(abi)) return g.control->ia32Error == 0;
  return abi != Abi::kX32 || g.control->x32Error == 0;
}

/** Ends the process with `status`, having told Node nothing more. */
[[noreturn]] void quit(int status);

/** Ends the probe: a preparation failed with this errno. */
[[noreturn]] void refuse(Refusal what, int error);

/** Wakes Node. */
void ringBell();

/** Serves requests until killed. */
[[noreturn]] void serve();

/** One probe as the request has it, in this process. */
void runProbe();

/** Whether the request describes a probe. */
bool isProbe(const Request& request);

/** The same in a throw-away fork. */
void runIsolated();

/** Threads with an image each on one CPU, which they give to one another. */
void runSwitches();

/** Many random rounds, checked here: nobody is told before the end. */
void runStress();

/** What the CPU does with bytes that XRSTOR or FXRSTOR is executed on, in user mode. */
void runXrstor();

/** A probe in a process that is traced, whose regsets are read and set at its stops. */
void runTraced();

/** Ends the traced process, if there is one. */
void endTraced();
/** Calls of KVM's, as Node asks for them. */
void runKvm();

/** The limit that the engine is measured against; fills outcome.elapsedNs. */
void runPlainLoop();

/** The same for traced probes. */
void runTraceLoop();

}  // namespace sigframe
