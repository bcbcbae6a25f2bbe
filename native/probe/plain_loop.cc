// The limit: the same loads, raise, copies, poison, sigreturn and save in the plainest C loop, in memory
// of its own, with no request to read, no edit to interpret and nobody to tell. `sigframe bench` measures
// the engine against it.
#include <csignal>
#include <ctime>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "probe/fire.h"
#include "probe/state.h"

namespace sigframe {
namespace {

constexpr uint32_t kMaxFrame = 32768;
// As many records as a batch of the engine's keeps: the same bytes go to as many places.
constexpr uint32_t kRecords = 128;

struct Plain {
  alignas(4096) uint8_t stack[2 * kMaxFrame];
  alignas(64) uint8_t load[kMaxFrame];
  alignas(64) uint8_t poison[kMaxFrame];
  uint8_t* written;
  uint8_t* sent;
  uint32_t bytes;
  bool bad;
};
Plain plain;

uint64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

extern "C" void sigframe_on_plain_signal(uintptr_t frame) {
  setPhase(Phase::kHandler);
  auto* context = reinterpret_cast<ucontext_t*>(frame + 8);
  auto* fpstate = reinterpret_cast<uint8_t*>(context->uc_mcontext.fpregs);
  copyBytes(plain.written, reinterpret_cast<void*>(frame), kHeadBytes);
  copyBytes(plain.written + kRecordHead, fpstate, plain.bytes);
  if (plain.bad) fpstate[527] |= 0x80;  // XCOMP_BV bit 63: compacted, which this image is not
  copyBytes(plain.sent, reinterpret_cast<void*>(frame), kHeadBytes);
  copyBytes(plain.sent + kRecordHead, fpstate, plain.bytes);
  setPhase(Phase::kReturning);
}

void runPlainLoop() {
  const Request& request = *g.request;
  const size_t area = (request.writtenBytes + 63) / 64 * 64;
  const size_t stride = 2 * (kRecordHead + area) + area;
  static uint8_t* records = nullptr;
  if (records == nullptr) {
    void* at = mmap(nullptr, kRecords * 3 * (kRecordHead + kMaxFrame), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at != MAP_FAILED) records = static_cast<uint8_t*>(at);
  }
  if (records == nullptr || request.writtenBytes > kMaxFrame || !inArena(request.load, request.writtenBytes) ||
      !inArena(request.poison, request.writtenBytes)) {
    g.outcome->ending = Ending::kHarness;
    return;
  }
  plain.bytes = request.writtenBytes;
  plain.bad = request.bad != 0;
  copyBytes(plain.load, g.arena + request.load, request.writtenBytes);
  copyBytes(plain.poison, g.arena + request.poison, request.writtenBytes);
  Fire& fire = sigframe_fire;
  fire.stack = reinterpret_cast<uint64_t>(plain.stack + sizeof plain.stack - 512);
  fire.load = reinterpret_cast<uint64_t>(plain.load);
  fire.poison = reinterpret_cast<uint64_t>(plain.poison);
  fire.rfbm = request.rfbm;
  fire.signal = SIGUSR2;
  fire.how = How::kSyscall;
  fire.number = SYS_tgkill;
  fire.arguments[0] = fire.tgid;
  fire.arguments[1] = fire.tid;
  fire.arguments[2] = fire.signal;
  uint64_t rejected = 0;
  const uint64_t start = nowNs();
  for (uint64_t i = 0; i < request.count; i++) {
    plain.written = records + i % kRecords * stride;
    plain.sent = plain.written + kRecordHead + area;
    uint8_t* after = plain.sent + kRecordHead + area;
    fire.after = reinterpret_cast<uint64_t>(after);
    fillBytes(after + 512, 0, 64);
    g.outcome->faults = 0;
    setPhase(Phase::kArmed);
    sigframe_fire64(&fire);
    rejected += g.outcome->faults;
  }
  g.outcome->elapsedNs = nowNs() - start;
  setPhase(Phase::kIdle);
  const bool asMeant = rejected == (plain.bad ? request.count : 0);
  g.outcome->ending = asMeant ? Ending::kReturned : Ending::kHarness;
}

}  // namespace sigframe
