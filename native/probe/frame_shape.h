// Where things are in the frames of each ABI, as far as the probe process has to know.
// arch/x86/include/asm/sigframe.h, arch/x86/include/uapi/asm/sigcontext.h.
#pragma once

#include <csignal>
#include <cstdint>

#include "shared/arena.h"

namespace sigframe {

struct FrameShape {
  uint32_t headBytes;   // recorded of the head
  uint32_t frameBytes;  // from the frame's start to the end of its head
  uint32_t pointerAt;   // of the fpstate pointer
  uint32_t pointerBytes;
  uint32_t fsaveBytes;  // right below the XSAVE area
  int signal;           // whose handler is registered for this ABI
};

// Signals that nobody else uses; the handler of each is registered for one ABI.
constexpr FrameShape kFrameShapes[] = {
    {kHeadBytes, kHeadBytes, 232, 8, 0, SIGUSR1},
    {kHeadBytesIa32Rt, kHeadBytesIa32Rt, 240, 4, kFsaveBytes, SIGIO},
    {kHeadBytesIa32, 732, 84, 4, kFsaveBytes, SIGPWR},
    {kHeadBytesX32, kHeadBytesX32, 216, 8, 0, SIGURG},
};

// The plain loop's, by Abi.
constexpr int kPlainSignals[] = {SIGUSR2, SIGTTIN, SIGTTOU, SIGTSTP};
// A stress request's, by Abi: those that the thread sends to itself, and those of timers. None is a real-time signal:
// these may be refused where too many are queued.
constexpr int kStressSignals[] = {SIGVTALRM, SIGPROF, SIGWINCH, SIGQUIT};
constexpr int kStressTimers[] = {SIGALRM, SIGSTKFLT, SIGHUP, SIGXFSZ};
constexpr uint32_t kAbis = 4;
static_assert(sizeof kStressSignals == kAbis * sizeof(int) && sizeof kStressTimers == kAbis * sizeof(int) &&
              sizeof kPlainSignals == kAbis * sizeof(int) && sizeof kFrameShapes == kAbis * sizeof(FrameShape));

constexpr uint64_t maskOf(const int (&signals)[kAbis]) {
  uint64_t mask = 0;
  for (const int signal : signals) mask |= uint64_t{1} << (signal - 1);
  return mask;
}
constexpr int plainSignal(Abi abi) { return kPlainSignals[static_cast<uint32_t>(abi)]; }
constexpr bool knownAbi(Abi abi) { return static_cast<uint32_t>(abi) < kAbis; }
/** Whether its handlers are entered in 32-bit code. */
constexpr bool isIa32(Abi abi) { return abi == Abi::kIa32Rt || abi == Abi::kIa32; }
constexpr const FrameShape& shapeOf(Abi abi) { return kFrameShapes[static_cast<uint32_t>(abi)]; }

}  // namespace sigframe
