// The probe process: raises signals and returns frames, so that nothing of it can hurt Node. Started by
// the addon with the arena at descriptor kArenaFd; serves requests until it is killed.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include <cpuid.h>

#include "probe/actions.h"
#include "probe/fake.h"
#include "probe/fire.h"
#include "probe/ia32.h"
#include "probe/modes.h"
#include "probe/state.h"
#include "probe/x32.h"
#include "shared/futex.h"

namespace sigframe {

State g;
extern "C" {
Fire sigframe_fire;
uint64_t sigframe_handler_stack;
}

void quit(int status) {
  syscall(SYS_exit_group, status);
  __builtin_unreachable();
}

namespace {

constexpr int kArchGetXcompPerm = 0x1022;  // arch/x86/include/uapi/asm/prctl.h
constexpr int kArchReqXcompPerm = 0x1023;

alignas(64) uint8_t handlerStack[16384];

bool hasXsave() {
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  return (c & bit_OSXSAVE) != 0;
}

[[noreturn]] void failStart(Stage stage, int error) {
  Control& control = *g.control;
  control.startupStage = static_cast<uint32_t>(stage);
  control.startupError = error;
  control.ready.store(2, std::memory_order_seq_cst);
  ringBell();
  quit(80);
}

bool mapArena() {
  struct stat status;
  if (fstat(kArenaFd, &status) != 0 || status.st_size < static_cast<off_t>(kFirstRegion)) return false;
  const auto size = static_cast<size_t>(status.st_size);
  // Below 4 GiB, for 32-bit frames; where that is impossible, 64-bit ones still are.
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_32BIT, kArenaFd, 0);
  if (at == MAP_FAILED) at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, kArenaFd, 0);
  if (at == MAP_FAILED) return false;
  close(kArenaFd);
  g.arena = static_cast<uint8_t*>(at);
  g.control = static_cast<Control*>(at);
  return g.control->magic == kArenaMagic && g.control->version == kArenaVersion && g.control->bytes == size;
}

/** The guard behind the spare buffer, whose first byte no frame may need. */
int protectGuard(const Control& control) {
  void* guard = g.arena + control.spare + control.spareBytes;
  return mprotect(guard, kGuardBytes, PROT_NONE) == 0 ? 0 : errno;
}

int askPermissions(Control& control) {
  for (int component = 0; component < 63; component++) {
    if (!(control.permissions >> component & 1)) continue;
    if (syscall(SYS_arch_prctl, kArchReqXcompPerm, component) != 0) return errno;
  }
  uint64_t permitted = 0;
  control.permitted = syscall(SYS_arch_prctl, kArchGetXcompPerm, &permitted) == 0 ? permitted : ~uint64_t{0};
  return 0;
}

/** The stack on which the kernel's SIGSEGV for a bad frame is caught; as large as any frame of the host needs. */
int installAlternateStack(const Control& control) {
  const size_t size = control.stackBytes;
  // A 32-bit frame saves and restores 32 bits of its address.
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (at == MAP_FAILED) at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return errno;
  stack_t stack{};
  stack.ss_sp = at;
  stack.ss_size = size;
  if (sigaltstack(&stack, nullptr) != 0) return errno;
  keepAlternateStack();
  return 0;
}

/** Whether arena and alternate stack lie below 4 GiB. */
bool isAllLow(const Control& control) {
  stack_t stack{};
  sigaltstack(nullptr, &stack);
  const auto isLow = [](const void* at, uint64_t bytes) { return reinterpret_cast<uint64_t>(at) + bytes <= UINT32_MAX; };
  return isLow(g.arena, control.bytes) && isLow(stack.ss_sp, stack.ss_size);
}

/** Finds out whether 32-bit frames can be had, and what stands in the way. */
void askIa32(Control& control) {
  const auto say = [&control](Ia32Need need, int error) {
    control.ia32Need = static_cast<uint32_t>(need);
    control.ia32Error = error;
  };
  if (!isAllLow(control)) return say(Ia32Need::kLowArena, ENOMEM);
  if (const int error = askInt80()) return say(Ia32Need::kInt80, error);
  if (const int error = installProbeActions(0)) say(Ia32Need::kSigaction, error);
}

}  // namespace
}  // namespace sigframe

int main(int argc, char** argv) {
  using namespace sigframe;
  const rlimit noCore{0, 0};
  setrlimit(RLIMIT_CORE, &noCore);
  const auto mode = [&](const char* name) { return argc > 2 && strcmp(argv[1], name) == 0; };
  if (mode("steps")) return runSteps(argc - 2, argv + 2);
  if (mode("checkpointed")) return runCheckpointed(argv[2]);
  // A core_pattern that pipes ignores RLIMIT_CORE 0.
  prctl(PR_SET_DUMPABLE, 0);
  if (!mapArena()) return 80;
  Control& control = *g.control;
  if (int error = protectGuard(control)) failStart(Stage::kGuard, error);
  if (int error = installAlternateStack(control)) failStart(Stage::kSignals, error);
  if (int error = askPermissions(control)) failStart(Stage::kPermission, error);
  keepThreadPointer();
  // A frame of either restores 32 bits of the alternate stack's address, so both need it below 4 GiB.
  control.x32Error = isAllLow(control) ? askX32() : ENOMEM;
  askIa32(control);
  if (int error = installActions()) failStart(Stage::kSignals, error);
  sigframe_handler_stack = reinterpret_cast<uint64_t>(handlerStack + sizeof handlerStack);
  sigframe_fire.tgid = static_cast<uint32_t>(getpid());
  sigframe_fire.tid = static_cast<uint32_t>(syscall(SYS_gettid));
  sigframe_fire.fxsave = hasXsave() ? 0 : 1;
  control.base = reinterpret_cast<uint64_t>(g.arena);
  control.ready.store(1, std::memory_order_seq_cst);
  ringBell();
  serve();
}
