// The limit of traced probes: the same loads, stops, calls and saves in the plainest C loop, in memory of its own, with no
// request to read and nobody to tell. `sigframe bench` measures traced probes against it.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>

#include "probe/fire.h"
#include "probe/ia32.h"
#include "probe/state.h"

namespace sigframe {
namespace {

// As many buffers as a batch has: the same bytes go to as many places.
constexpr uint32_t kBuffers = 64;

uint64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

struct Room {
  uint8_t* load;
  uint8_t* after;
  uint8_t* set;
  uint8_t* got;
  size_t bytes;   // of all
  size_t stride;  // from one buffer of `got` to the next
};

/** XRSTOR, stop, XSAVE, stop, for ever: it is killed. */
[[noreturn]] void loopTraced(const Room& room, uint64_t rfbm, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent || syscall(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0) != 0) quit(1);
  asm volatile(
      "1:\n\t"
      "xrstor64 (%[load])\n\t"
      "int3\n\t"
      "xsave64 (%[after])\n\t"
      "int3\n\t"
      "jmp 1b"
      :
      : [load] "r"(room.load), [after] "r"(room.after), "a"(static_cast<uint32_t>(rfbm)),
        "d"(static_cast<uint32_t>(rfbm >> 32))
      : "memory");
  __builtin_unreachable();
}

bool stops(pid_t pid) {
  int status = 0;
  return syscall(SYS_wait4, pid, &status, __WALL, nullptr) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

bool call(long request, pid_t pid, uint32_t note, uint8_t* bytes, size_t size) {
  iovec buffer{bytes, size};
  return syscall(SYS_ptrace, request, pid, uint64_t{note}, &buffer) == 0;
}

bool resume(pid_t pid) { return syscall(SYS_ptrace, PTRACE_CONT, pid, 0, 0) == 0; }

/** The loop itself. False: something failed. */
bool loop(const Room& room, pid_t pid, const TraceCall* calls, uint64_t count) {
  if (!stops(pid) || syscall(SYS_ptrace, PTRACE_SETOPTIONS, pid, 0, uint64_t{PTRACE_O_EXITKILL}) != 0) return false;
  const uint64_t start = nowNs();
  for (uint64_t i = 0; i < count; i++) {
    if (i != 0 && !(resume(pid) && stops(pid))) return false;
    if (!call(PTRACE_SETREGSET, pid, calls[0].note, room.set, calls[0].size)) return false;
    if (!resume(pid) || !stops(pid)) return false;
    if (!call(PTRACE_GETREGSET, pid, calls[1].note, room.got + i % kBuffers * room.stride, calls[1].size)) return false;
  }
  g.outcome->elapsedNs = nowNs() - start;
  return true;
}

bool wellFormed(const Request& request) {
  if (request.threads != 2 || sigframe_fire.fxsave != 0 || !inArena(request.stride, 2 * sizeof(TraceCall))) return false;
  const auto* calls = reinterpret_cast<const TraceCall*>(g.arena + request.stride);
  return calls[0].what == TraceDo::kSet && calls[1].what == TraceDo::kGet && calls[0].size <= calls[0].room &&
         calls[1].size <= calls[1].room && inArena(calls[0].at, calls[0].room) && inArena(calls[1].at, calls[1].room) &&
         request.writtenBytes >= kXsaveHeader + kXsaveHeaderBytes && inArena(request.load, request.writtenBytes);
}

}  // namespace

void runTraceLoop() {
  const Request& request = *g.request;
  g.outcome->ending = Ending::kHarness;
  if (!wellFormed(request)) return;
  const auto* calls = reinterpret_cast<const TraceCall*>(g.arena + request.stride);
  const auto lines = [](size_t bytes) { return (bytes + 63) / 64 * 64; };
  const size_t area = lines(request.writtenBytes);
  Room room{};
  room.stride = lines(calls[1].size);
  room.bytes = 2 * area + lines(calls[0].size) + kBuffers * room.stride;
  void* at = mmap(nullptr, room.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return;
  room.load = static_cast<uint8_t*>(at);
  room.after = room.load + area;
  room.set = room.after + area;
  room.got = room.set + lines(calls[0].size);
  copyBytes(room.load, g.arena + request.load, request.writtenBytes);
  copyBytes(room.set, g.arena + calls[0].at, calls[0].size);
  const pid_t self = getpid();
  // fork() uses the thread's own storage.
  setThreadPointer();
  const pid_t pid = fork();
  if (pid == 0) loopTraced(room, request.rfbm, self);
  if (pid > 0) {
    const bool done = loop(room, pid, calls, request.count);
    kill(pid, SIGKILL);
    int status = 0;
    while (syscall(SYS_wait4, pid, &status, __WALL, nullptr) == pid && WIFSTOPPED(status)) {
    }
    if (done) g.outcome->ending = Ending::kReturned;
  }
  munmap(at, room.bytes);
}

}  // namespace sigframe
