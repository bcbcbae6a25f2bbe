// Waits for a batch without blocking Node, on a thread of its own. Not on libuv's pool: at its end Node waits for
// the pool's work before any hook runs that could end it.
#pragma once

#include <napi.h>
#include <pthread.h>

#include <atomic>
#include <memory>

#include "addon/link.h"

namespace sigframe {

class Waiter {
 public:
  Waiter() = default;
  ~Waiter() { join(); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  /** A promise of the wait's code. Nothing else of this waiter may be under way. Throws in JavaScript. */
  Napi::Value start(Napi::Env env, const std::shared_ptr<Link>& link, uint32_t target, uint32_t timeoutMs);
  /** Whether a wait is under way. */
  bool busy() const { return started_ && !done_->load(); }
  /** Waits for the thread to end, which it does soon once the link is cancelled or the batch is done. */
  void join();

 private:
  pthread_t thread_{};
  bool started_ = false;
  std::shared_ptr<std::atomic<bool>> done_;
};

}  // namespace sigframe
