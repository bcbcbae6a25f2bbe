#include "addon/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "shared/arena.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

namespace sigframe {
namespace {

constexpr size_t kLauncherStack = 64 * 1024;

/** What the launching clone needs; it shares our memory until it execs. */
struct Launch {
  const char* path;
  int arena;
  int null;
  pid_t parent;
  int error;
};

// What runs in the clone never returns: AddressSanitizer's marks of its stack frames would stay in our memory, on
// whatever is mapped there next.
#define SIGFRAME_IN_CLONE __attribute__((no_sanitize_address))

SIGFRAME_IN_CLONE void closeFrom(unsigned first) {
#ifdef SYS_close_range
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
#endif
  // Before Linux 5.9, or where a seccomp filter refuses: one by one, within reason.
  long open = sysconf(_SC_OPEN_MAX);
  if (open < 0 || open > 65536) open = 65536;
  for (unsigned fd = first; fd < static_cast<unsigned>(open); fd++) close(static_cast<int>(fd));
}

SIGFRAME_IN_CLONE int fail(Launch& plan) {
  plan.error = errno;
  _exit(127);
}

/** Runs in the clone, in our memory: only system calls, and what it changes is its own by then. */
SIGFRAME_IN_CLONE int launch(void* opaque) {
  auto& plan = *static_cast<Launch*>(opaque);
  // The thread that starts it is blocked until exec, so this cannot come too late for its death.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(127);
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction byDefault {};
    sigaction(signal, &byDefault, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  // A session of its own: Ctrl-C and Ctrl-Z are for Node alone.
  setsid();
  if (dup2(plan.null, 0) < 0 || dup2(plan.null, 1) < 0 || dup2(plan.null, 2) < 0) return fail(plan);
  if (dup2(plan.arena, kArenaFd) < 0) return fail(plan);
  fcntl(kArenaFd, F_SETFD, 0);
  closeFrom(kArenaFd + 1);
  char name[] = "sigframe-probe";
  char* argv[] = {name, nullptr};
  // Restartable sequences would have the kernel write to the process at every delivery, unasked.
  char noRseq[] = "GLIBC_TUNABLES=glibc.pthread.rseq=0";
  char* envp[] = {noRseq, nullptr};
  execve(plan.path, argv, envp);
  return fail(plan);
}

/** A copy of a descriptor above those that the clone overwrites: with its standard streams closed, Node has low ones. */
int above(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, kArenaFd + 1); }

/** Closes on leaving. */
struct Descriptor {
  explicit Descriptor(int number) : fd(number) {}
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int fd;
};

}  // namespace

int Child::start(const std::string& path, int arena) {
  const Descriptor low(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (low.fd < 0) return errno;
  const Descriptor null(above(low.fd));
  if (null.fd < 0) return errno;
  const Descriptor highArena(above(arena));
  if (highArena.fd < 0) return errno;
  void* stack = mmap(nullptr, kLauncherStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return errno;
  Launch plan{path.c_str(), highArena.fd, null.fd, getpid(), 0};
  // No handler of Node's may run in the clone.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  const pid_t pid = clone(launch, static_cast<char*>(stack) + kLauncherStack,
                          CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  const int cloneError = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kLauncherStack);
  if (pid < 0) return cloneError;
  pid_ = pid;
  pidfd_ = pidfd;
  if (plan.error != 0) {
    reap(1000);
    return plan.error;
  }
  return 0;
}

Child::~Child() {
  if (pidfd_ >= 0) close(pidfd_);
}

void Child::kill() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (pid_ > 0 && !exit_) ::kill(pid_, SIGKILL);
}

std::optional<Exit> Child::tryReap() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (exit_ || pid_ <= 0) return exit_;
  siginfo_t info{};
  const int r = waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | __WALL);
  if (r == 0 && info.si_pid == pid_) {
    exit_ = Exit{info.si_code != CLD_EXITED, info.si_status};
  } else if (r == -1 && errno == ECHILD) {
    exit_ = Exit{false, -1};  // somebody else in this process has reaped it
  }
  return exit_;
}

std::optional<Exit> Child::reap(int milliseconds) {
  // pidfd tells the end at once; a pidfd that already tells it while tryReap does not (the process is
  // traced by another) must not be polled in a circle, hence the sleep.
  constexpr int kSliceMs = 10;
  for (int left = milliseconds;; left -= kSliceMs) {
    if (auto ended = tryReap()) return ended;
    if (left <= 0) return std::nullopt;
    pollfd poller{pidfd_, POLLIN, 0};
    if (pidfd_ < 0 || poll(&poller, 1, kSliceMs) > 0) {
      if (auto ended = tryReap()) return ended;
      const timespec slice{0, kSliceMs * 1000000L};
      nanosleep(&slice, nullptr);
    }
  }
}

void Child::moveTo(const cpu_set_t& cpus) {
  if (pid_ <= 0 || CPU_EQUAL(&cpus, &cpus_)) return;
  if (sched_setaffinity(pid_, sizeof cpus, &cpus) == 0) cpus_ = cpus;
}

}  // namespace sigframe
