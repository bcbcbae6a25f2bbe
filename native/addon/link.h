// The handshake with the probe process: what a thread that waits may share with Node's, no JavaScript in it.
#pragma once

#include <atomic>
#include <memory>

#include "addon/arena_map.h"
#include "addon/child.h"

namespace sigframe {

/** How a wait ended. The numbers are part of the interface to TypeScript. */
enum class Waited : uint32_t { kDone = 0, kFrame = 1, kEnded = 2, kTimeout = 3, kCancelled = 4 };

/** What may be shared with a thread that waits: no JavaScript value in it. */
class Link {
 public:
  Link(std::shared_ptr<ArenaMap> map) : arena(std::move(map)) {}

  const std::shared_ptr<ArenaMap> arena;
  Child child;
  std::atomic<bool> cancelled{false};

  /** Hands `count` further requests over and wakes the probe process if it sleeps. */
  void submit(uint32_t count);
  /**
   * Waits until `target` requests are completed, or (live) a frame waits to be edited. Times out when the
   * probe process makes no progress for `timeoutMs`.
   */
  Waited wait(uint32_t target, uint32_t timeoutMs);
  /** Waits for the probe process to say that it serves. */
  Waited waitReady(uint32_t timeoutMs);
  /** Lets the handler that waits for Node go on. */
  void reply();
  /**
   * Brings the probe process to this thread's CPU and keeps both there until scatter(). A handshake across
   * CPUs wakes an idle one, tens of microseconds in a virtual machine; on one CPU it is a context switch.
   */
  void gather();
  void scatter();
  /** Tells the probe process which CPUs this thread may run on, wherever it is kept for a while. */
  void tellCpus();
  /** Lets the probe process run wherever this thread may, which is let go of. */
  void spread();

 private:
  bool gathered_ = false;
  template <typename Check>
  Waited sleepUntil(uint32_t timeoutMs, Check check);
};

}  // namespace sigframe
