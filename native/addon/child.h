// The probe process as its parent sees it: start, watch, kill, reap. Nothing here knows JavaScript.
#pragma once

#include <sched.h>
#include <sys/types.h>

#include <mutex>
#include <optional>
#include <string>

namespace sigframe {

/** How a process ended: by a signal, or by exit with a code. */
struct Exit {
  bool bySignal;
  int value;
};

class Child {
 public:
  Child() = default;
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /** Runs `path` with `arena` as its only descriptor. 0, or errno. */
  int start(const std::string& path, int arena);
  pid_t pid() const { return pid_; }
  /** SIGKILL, unless it is reaped already: a reaped pid may belong to somebody else. */
  void kill();
  /** The exit status once it has ended; reaps. Never waits. */
  std::optional<Exit> tryReap();
  /** Waits at most `milliseconds` for the end. */
  std::optional<Exit> reap(int milliseconds);
  /** Lets it run on these CPUs alone. */
  void moveTo(const cpu_set_t& cpus);

 private:
  std::mutex mutex_;  // tryReap and kill may be called from the thread that waits for a batch
  pid_t pid_ = -1;
  int pidfd_ = -1;
  cpu_set_t cpus_{};
  std::optional<Exit> exit_;
};

}  // namespace sigframe
