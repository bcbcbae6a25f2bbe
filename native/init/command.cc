#include "init/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "init/machine.h"
#include "init/tasks.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

namespace sigframe::init {
namespace {

constexpr int kChannelFd = 3;  // where the command finds the data channel
constexpr long kBeatMs = 1000;
constexpr long kAfterLateMs = 3000;
constexpr long kAfterEndMs = 2000;
constexpr size_t kChunk = 4096;
// A pipe's capacity, and some: what is left over may go on writing for ever.
constexpr size_t kMostRest = 1 << 20;

long nowMs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** A command that was started. */
struct Command {
  pid_t pid = -1;
  int pidfd = -1;
  int pipe = -1;
  bool hasEnded = false;
  int status = 0;
};

struct Failure {
  const char* what = nullptr;
  int error = 0;
};

/** In the child; what failed goes to the descriptor `report`. */
[[noreturn]] void becomeCommand(const Job& job, int data, int report) {
  Failure failure;
  // All descriptors below are ours to overwrite: the pipes have been put above them.
  setsid();
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) failure = {"/dev/null", errno};
  if (dup2(STDERR_FILENO, STDOUT_FILENO) < 0) failure = {"standard output", errno};
  if (dup2(data, kChannelFd) < 0) failure = {"descriptor 3", errno};
  if (failure.what == nullptr && chdir(job.cwd) != 0) failure = {job.cwd, errno};
  if (failure.what == nullptr) {
    execve(job.args[0], const_cast<char* const*>(job.args), const_cast<char* const*>(job.env));
    failure = {job.args[0], errno};
  }
  if (write(report, &failure, sizeof failure) < 0) _exit(126);
  _exit(127);
}

/** Both ends above the descriptors that the command gets. */
bool makePipe(int ends[2]) {
  int low[2];
  if (pipe2(low, O_CLOEXEC) != 0) return false;
  for (int i = 0; i < 2; i++) {
    ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, kChannelFd + 1);
    close(low[i]);
  }
  return ends[0] >= 0 && ends[1] >= 0;
}

Failure start(const Job& job, Command& command) {
  int data[2], report[2];
  if (!makePipe(data) || !makePipe(report)) return {"pipe", errno};
  fcntl(data[0], F_SETFL, O_NONBLOCK);
  const pid_t pid = fork();
  if (pid == 0) becomeCommand(job, data[1], report[1]);
  const int forkError = errno;
  close(data[1]);
  close(report[1]);
  Failure failure;
  if (pid < 0) failure = {"fork", forkError};
  // A pointer from a copy of this process points to the same text here. Nothing is to be read once it runs the command.
  ssize_t got;
  do got = read(report[0], &failure, sizeof failure);
  while (got < 0 && errno == EINTR);
  close(report[0]);
  if (failure.what != nullptr) {
    close(data[0]);
    if (pid > 0) waitpid(pid, nullptr, 0);
    return failure;
  }
  command.pid = pid;
  command.pipe = data[0];
  // Before Linux 5.3 there is none; then the loop below looks more often.
  command.pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return {};
}

/** Everything that has ended, adopted ones too. */
void reap(Command& command) {
  int status;
  for (;;) {
    const pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);
    if (pid <= 0) return;
    if (pid != command.pid) continue;
    command.hasEnded = true;
    command.status = status;
  }
}

/** One piece of what the command wrote; false: nothing there now. */
bool relayPiece(Command& command, Channel& channel) {
  char bytes[kChunk];
  if (command.pipe < 0) return false;
  const ssize_t got = read(command.pipe, bytes, sizeof bytes);
  if (got > 0) {
    channel.relay(bytes, static_cast<size_t>(got));
    return true;
  }
  if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    close(command.pipe);
    command.pipe = -1;
  }
  return false;
}

void relayRest(Command& command, Channel& channel) {
  for (size_t i = 0; i < kMostRest / kChunk && relayPiece(command, channel); i++) {
  }
  channel.endLine();
}

class Pulse {
 public:
  /** Tells a beat if one is due and no line is under way. Milliseconds until the next one; it may be put off by a line. */
  long beat(Channel& channel) {
    const long now = nowMs(CLOCK_MONOTONIC);
    if (now < next_) return next_ - now;
    if (channel.isBetweenLines()) {
      channel.say(Line("beat").number(nowMs(CLOCK_BOOTTIME) / 1000));
      next_ = now + kBeatMs;
    }
    return kBeatMs;
  }

 private:
  long next_ = 0;
};

enum class Watched { ended, late, quiet };

/** Until the command has ended, or one of its times is over. */
Watched watch(const Job& job, Command& command, Channel& channel, Pulse& pulse) {
  constexpr long kWithoutPidfd = 50;
  const long end = nowMs(CLOCK_MONOTONIC) + job.seconds * 1000;
  long heard = nowMs(CLOCK_MONOTONIC);
  for (;;) {
    reap(command);
    if (command.hasEnded) return Watched::ended;
    const long now = nowMs(CLOCK_MONOTONIC);
    if (end <= now) return Watched::late;
    if (heard + job.quiet * 1000 <= now) return Watched::quiet;
    const long left = end < heard + job.quiet * 1000 ? end - now : heard + job.quiet * 1000 - now;
    long timeout = pulse.beat(channel);
    if (timeout > left) timeout = left;
    if (command.pidfd < 0 && timeout > kWithoutPidfd) timeout = kWithoutPidfd;
    pollfd polled[2] = {{command.pipe, POLLIN, 0}, {command.pidfd, POLLIN, 0}};
    if (poll(polled, 2, static_cast<int>(timeout)) <= 0) continue;
    if (polled[0].revents != 0 && relayPiece(command, channel)) heard = nowMs(CLOCK_MONOTONIC);
    if (polled[1].revents == 0) continue;
    reap(command);
    if (command.hasEnded) return Watched::ended;
    // A pidfd that tells an end which cannot be waited for (it is traced) is not to be asked in a circle.
    close(command.pidfd);
    command.pidfd = -1;
  }
}

/** SIGKILL to all, and what outlives it. */
void endAll(Command& command, Channel& channel, Pulse& pulse, long patienceMs) {
  constexpr int kSliceMs = 20;
  reap(command);
  if (!anyLeft()) return;
  for (long passed = 0; passed < patienceMs; passed += kSliceMs) {
    // Again and again: what forks while it is looked at is seen the next time.
    killAll();
    poll(nullptr, 0, kSliceMs);
    reap(command);
    if (!anyLeft()) return;
    pulse.beat(channel);
  }
  tellUnkillable(channel);
}

void tellEnd(const Command& command, Channel& channel) {
  // What SIGKILL does not end has no status; it is as good as killed.
  if (!command.hasEnded) return channel.say(Line("killed").number(SIGKILL));
  if (WIFEXITED(command.status)) return channel.say(Line("exit").number(WEXITSTATUS(command.status)));
  channel.say(Line("killed").number(WTERMSIG(command.status)));
}

}  // namespace

void runCommand(const Job& job, Channel& channel, bool isMachine) {
  Command command;
  const Failure failure = start(job, command);
  if (failure.what != nullptr) return channel.say(Line("broken").text(failure.what).text("-").text(strerror(failure.error)));
  channel.say(Line("start").number(command.pid));
  Pulse pulse;
  const Watched watched = watch(job, command, channel, pulse);
  if (watched == Watched::ended) {
    relayRest(command, channel);
    tellEnd(command, channel);
    endAll(command, channel, pulse, kAfterEndMs);
    return;
  }
  // What it had written is whole or ends here: the lines below are ours alone.
  relayRest(command, channel);
  if (watched == Watched::quiet) {
    channel.say(Line("late").number(job.quiet).text("seconds without a word"));
  } else {
    channel.say(Line("late").number(job.seconds).text("seconds are over"));
  }
  tellTasks(channel);
  if (isMachine) printKernelStacks();
  endAll(command, channel, pulse, kAfterLateMs);
  tellEnd(command, channel);
}

}  // namespace sigframe::init
