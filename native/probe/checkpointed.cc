// A process that stays inside its signal handler, with values of its own in all registers, until it is told to return:
// for a checkpoint there. Its folder has the XSAVE areas `load` and `poison`, and the mask of their components in `mask`;
// `ready` comes once it waits, with its pid; `go` lets it return. It leaves the areas `handler` and `after`.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <ctime>

#include "probe/modes.h"
#include "probe/state.h"

namespace sigframe {
namespace {

constexpr size_t kMostBytes = 64 * 1024;
/** How long it waits: 60 s in steps of 10 ms. */
constexpr int kSteps = 6000;
constexpr timespec kStep{0, 10 * 1000 * 1000};

alignas(64) uint8_t load[kMostBytes], poison[kMostBytes], handler[kMostBytes], after[kMostBytes];
size_t bytes;
uint32_t low, high;
char pathOf[6][512];
enum Path { kReady, kReadyNew, kGo, kHandler, kAfterNew, kAfter };

ssize_t readAll(const char* folder, const char* name, uint8_t* to, size_t most) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t got = read(fd, to, most);
  close(fd);
  return got;
}

bool writeAll(const char* path, const void* from, size_t size) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool written = write(fd, from, size) == static_cast<ssize_t>(size);
  return close(fd) == 0 && written;
}

bool tellReady() {
  // Nothing here may touch a vector register: no printf.
  char text[16];
  size_t at = sizeof text;
  for (auto pid = static_cast<unsigned>(getpid()); pid != 0; pid /= 10) text[--at] = static_cast<char>('0' + pid % 10);
  return writeAll(pathOf[kReadyNew], text + at, sizeof text - at) && rename(pathOf[kReadyNew], pathOf[kReady]) == 0;
}

/** Whatever runs here is compiled for general registers alone: the poison stays in the others. */
void onSignal(int) {
  asm volatile("xrstor64 (%[from])" ::[from] "r"(poison), "a"(low), "d"(high) : "memory");
  // Nobody waits for one that cannot say that it is there.
  if (!tellReady()) quit(84);
  int step = 0;
  for (; step < kSteps && access(pathOf[kGo], F_OK) != 0; step++) nanosleep(&kStep, nullptr);
  asm volatile("xsave64 (%[to])" ::[to] "r"(handler), "a"(low), "d"(high) : "memory");
  if (step == kSteps) quit(83);
}

/** XRSTOR, tgkill, XSAVE, with nothing compiled in between. */
void raiseLoaded() {
  const auto tgid = static_cast<uint32_t>(getpid());
  const auto tid = static_cast<uint32_t>(syscall(SYS_gettid));
  asm volatile(
      "movl %[low], %%eax\n\t"
      "movl %[high], %%edx\n\t"
      "xrstor64 (%[load])\n\t"
      "movl %[tgkill], %%eax\n\t"
      "movl %[tgid], %%edi\n\t"
      "movl %[tid], %%esi\n\t"
      "movl %[signal], %%edx\n\t"
      "syscall\n\t"
      "movl %[low], %%eax\n\t"
      "movl %[high], %%edx\n\t"
      "xsave64 (%[after])"
      :
      : [low] "r"(low), [high] "r"(high), [load] "r"(load), [after] "r"(after), [tgid] "r"(tgid), [tid] "r"(tid),
        [tgkill] "i"(SYS_tgkill), [signal] "i"(SIGUSR1)
      : "rax", "rcx", "rdx", "rsi", "rdi", "r11", "memory", "cc");
}

int serveCheckpoint(const char* folder) {
  uint64_t mask = 0;
  if (readAll(folder, "mask", reinterpret_cast<uint8_t*>(&mask), sizeof mask) != sizeof mask) return 84;
  const ssize_t got = readAll(folder, "load", load, sizeof load);
  if (got < 576 || readAll(folder, "poison", poison, sizeof poison) != got) return 84;
  bytes = static_cast<size_t>(got);
  low = static_cast<uint32_t>(mask);
  high = static_cast<uint32_t>(mask >> 32);
  struct sigaction action {};
  action.sa_handler = onSignal;
  if (sigaction(SIGUSR1, &action, nullptr) != 0) return 84;
  raiseLoaded();
  const bool told = writeAll(pathOf[kHandler], handler, bytes) && writeAll(pathOf[kAfterNew], after, bytes) &&
                    rename(pathOf[kAfterNew], pathOf[kAfter]) == 0;
  return told ? 0 : 84;
}

}  // namespace

int runCheckpointed(const char* folder) {
  const char* names[] = {"ready", "ready.new", "go", "handler", "after.new", "after"};
  for (int i = 0; i < 6; i++) snprintf(pathOf[i], sizeof pathOf[i], "%s/%s", folder, names[i]);
  const pid_t child = fork();
  if (child < 0) return 85;
  if (child == 0) {
    // Leader of a session, and no descriptor but of /dev/null: what a checkpoint needs nothing else for.
    setsid();
    const int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    if (null > 2) close(null);
    if (chdir("/") != 0) _exit(84);
    _exit(serveCheckpoint(folder));
  }
  // Its pid must be free again once the checkpoint has ended it: somebody has to reap it.
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

}  // namespace sigframe
