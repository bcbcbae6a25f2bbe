// Context switches: threads with an image each on one CPU, which they give to one another.
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <atomic>

#include "probe/fire.h"
#include "probe/state.h"
#include "shared/futex.h"

namespace sigframe {
namespace {

constexpr uint32_t kMostThreads = 8;

struct Turn {
  const uint8_t* load;
  uint8_t* after;
  uint64_t rfbm;
  uint64_t rounds;
  uint32_t switches;
};

/**
 * XRSTOR, sched_yield `rounds` times, XSAVE: one block, since nothing compiled may run in between.
 * Registers: rdi and the operands live across the calls, rax, rcx, r11 are scratch.
 */
void yieldWith(const Turn& turn) {
  uint64_t rounds = turn.rounds;
  const auto low = static_cast<uint32_t>(turn.rfbm);
  const auto high = static_cast<uint32_t>(turn.rfbm >> 32);
  asm volatile(
      "movl %[low], %%eax\n\t"
      "movl %[high], %%edx\n\t"
      "xrstor64 (%[load])\n"
      "1:\n\t"
      "movl %[yield], %%eax\n\t"
      "syscall\n\t"
      "decq %[rounds]\n\t"
      "jnz 1b\n\t"
      "movl %[low], %%eax\n\t"
      "movl %[high], %%edx\n\t"
      "xsave64 (%[after])"
      : [rounds] "+r"(rounds)
      : [load] "r"(turn.load), [after] "r"(turn.after), [low] "r"(low), [high] "r"(high), [yield] "i"(SYS_sched_yield)
      : "rax", "rcx", "rdx", "r11", "memory", "cc");
}

// The first must not be done before the last has begun.
enum class Start : uint32_t { kWait = 0, kGo = 1, kGiveUp = 2 };
std::atomic<uint32_t> start;

Start waitForStart() {
  for (;;) {
    const uint32_t now = start.load(std::memory_order_acquire);
    if (now != static_cast<uint32_t>(Start::kWait)) return static_cast<Start>(now);
    futexWait(start, now, nullptr);
  }
}

void tellStart(Start what, uint32_t threads) {
  start.store(static_cast<uint32_t>(what), std::memory_order_release);
  for (uint32_t i = 0; i < threads; i++) futexWake(start);
}

void* runTurn(void* opaque) {
  auto& turn = *static_cast<Turn*>(opaque);
  if (waitForStart() != Start::kGo) return nullptr;
  fillBytes(turn.after + kXsaveHeader, 0, kXsaveHeaderBytes);
  yieldWith(turn);
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  turn.switches = static_cast<uint32_t>(usage.ru_nvcsw + usage.ru_nivcsw);
  return nullptr;
}

bool wellFormed(const Request& request) {
  const uint64_t all = uint64_t{request.threads} * request.stride;
  return request.threads >= 1 && request.threads <= kMostThreads && request.stride % 64 == 0 &&
         request.stride >= kXsaveHeader + kXsaveHeaderBytes && request.count >= 1 && request.load % 64 == 0 &&
         request.after % 64 == 0 && inArena(request.load, all) && inArena(request.after, all) &&
         sigframe_fire.fxsave == 0;
}

}  // namespace

void runSwitches() {
  const Request& request = *g.request;
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kHarness;
  if (!wellFormed(request)) return;
  cpu_set_t before, here;
  const int cpu = sched_getcpu();
  if (cpu < 0 || sched_getaffinity(0, sizeof before, &before) != 0) return;
  CPU_ZERO(&here);
  CPU_SET(cpu, &here);
  // The threads inherit it.
  if (sched_setaffinity(0, sizeof here, &here) != 0) return;
  static Turn turns[kMostThreads];
  pthread_t threads[kMostThreads];
  uint32_t started = 0;
  start.store(static_cast<uint32_t>(Start::kWait), std::memory_order_release);
  for (; started < request.threads; started++) {
    turns[started] = Turn{g.arena + request.load + started * request.stride,
                          g.arena + request.after + started * request.stride, request.rfbm, request.count, 0};
    if (pthread_create(&threads[started], nullptr, runTurn, &turns[started]) != 0) break;
  }
  tellStart(started == request.threads ? Start::kGo : Start::kGiveUp, started);
  // The slowest tells how often the CPU changed hands at least.
  uint32_t least = ~0U;
  for (uint32_t i = 0; i < started; i++) {
    pthread_join(threads[i], nullptr);
    if (turns[i].switches < least) least = turns[i].switches;
  }
  sched_setaffinity(0, sizeof before, &before);
  outcome.slept = least;
  if (started == request.threads) outcome.ending = Ending::kReturned;
}

}  // namespace sigframe
