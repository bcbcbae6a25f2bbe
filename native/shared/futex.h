// Futex words in the arena: shared between processes, so never FUTEX_PRIVATE. futex(2).
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <ctime>

namespace sigframe {

/** Sleeps while `word` holds `value`, at most `timeout` (null: without end). False: timed out. */
inline bool futexWait(std::atomic<uint32_t>& word, uint32_t value, const timespec* timeout) {
  long r = syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, value, timeout, nullptr, 0);
  return !(r == -1 && errno == ETIMEDOUT);
}

inline void futexWake(std::atomic<uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace sigframe
