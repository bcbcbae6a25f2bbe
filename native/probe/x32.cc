#include "probe/x32.h"

#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "probe/fire.h"
#include "probe/state.h"

namespace sigframe {
namespace {

constexpr unsigned long kSaRestorer = 0x04000000;

/** struct sigaction of an x32 process: as a 32-bit one's. */
struct CompatSigaction {
  uint32_t handler;
  uint32_t flags;
  uint32_t restorer;
  uint32_t mask[2];
};

template <typename T>
uint32_t low(T* pointer) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
}

}  // namespace

int askX32() {
  const pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) quit(syscall(SYS_getpid | kX32Bit) == getpid() ? 0 : 1);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ENOSYS;
}

int installX32(int signal, void (*handler)(int), unsigned long flags, uint64_t mask) {
  const CompatSigaction action{low(handler), static_cast<uint32_t>(flags | kSaRestorer), low(sigframe_restorer_x32),
                               {static_cast<uint32_t>(mask), static_cast<uint32_t>(mask >> 32)}};
  return syscall(kX32RtSigaction, signal, &action, nullptr, sizeof action.mask) == 0 ? 0 : errno;
}

}  // namespace sigframe
