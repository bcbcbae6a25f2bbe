#include "probe/ia32.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "probe/arch_prctl.h"
#include "probe/state.h"

namespace sigframe {
namespace {

// asm/unistd_32.h
constexpr int kGetpid = 20;
constexpr int kRtSigaction = 174;
// asm/prctl.h
constexpr long kArchSetFs = 0x1002;
constexpr long kArchGetFs = 0x1003;

/** A 32-bit system call; its pointers must lie below 4 GiB. */
long int80(int number, uint32_t a = 0, uint32_t b = 0, uint32_t c = 0, uint32_t d = 0) {
  long result = number;
  asm volatile("int $0x80" : "+a"(result) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory", "r8", "r9", "r10", "r11");
  return static_cast<int32_t>(result);
}

/** struct sigaction of a 32-bit process. */
struct CompatSigaction {
  uint32_t handler;
  uint32_t flags;
  uint32_t restorer;
  uint32_t mask[2];
};
CompatSigaction action;  // below 4 GiB, as everything that is linked into this process

uint64_t threadPointer;

}  // namespace

int askInt80() {
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    // Nothing is installed yet: a kernel without IA32 emulation ends it with SIGSEGV, a seccomp filter as it likes.
    quit(int80(kGetpid) == getpid() ? 0 : 1);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ENOSYS;
}

int installIa32(int signal, void (*handler)(int), unsigned long flags, uint64_t mask) {
  action = CompatSigaction{static_cast<uint32_t>(reinterpret_cast<uintptr_t>(handler)), static_cast<uint32_t>(flags), 0,
                           {static_cast<uint32_t>(mask), static_cast<uint32_t>(mask >> 32)}};
  const long result = int80(kRtSigaction, static_cast<uint32_t>(signal),
                            static_cast<uint32_t>(reinterpret_cast<uintptr_t>(&action)), 0, sizeof action.mask);
  return result < 0 ? static_cast<int>(-result) : 0;
}

void keepThreadPointer() { archPrctl(kArchGetFs, reinterpret_cast<uint64_t>(&threadPointer)); }

void restoreThreadPointer() {
  unsigned selector;
  asm volatile("movl %%fs, %0" : "=r"(selector));
  // A 64-bit thread's selector is null; kernels that put RPL 3 into it have cleared its base too.
  if (selector != 0) setThreadPointer();
}

void setThreadPointer() { archPrctl(kArchSetFs, threadPointer); }

}  // namespace sigframe
