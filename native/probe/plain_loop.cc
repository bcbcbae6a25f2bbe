// The limit: the same loads, raise, copies, poison, sigreturn and save in the plainest C loop, in memory
// of its own, with no request to read, no edit to interpret and nobody to tell. `sigframe bench` measures
// the engine against it, for the frames of each ABI.
#include <csignal>
#include <ctime>

#include <sys/mman.h>
#include <sys/syscall.h>

#include "probe/fire.h"
#include "probe/frame_shape.h"
#include "probe/ia32.h"
#include "probe/state.h"

namespace sigframe {
namespace {

// As many records as a batch of the engine's keeps: the same bytes go to as many places.
constexpr uint32_t kRecords = 128;
constexpr size_t kXcompBv = 520;
constexpr size_t kLeastArea = kXsaveHeader + kXsaveHeaderBytes;
constexpr size_t kBelowAny = 512;  // above the frame, as in any program

struct Plain {
  const FrameShape* shape;
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

/** Memory of its own, below 4 GiB where that can be had, kept for the next time. Null: there is none. */
uint8_t* roomFor(size_t bytes) {
  static uint8_t* room = nullptr;
  static size_t size = 0;
  if (bytes <= size) return room;
  if (room != nullptr) munmap(room, size);
  size = 0;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS;
  void* at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags | MAP_32BIT, -1, 0);
  if (at == MAP_FAILED) at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (at == MAP_FAILED) return room = nullptr;
  size = bytes;
  return room = static_cast<uint8_t*>(at);
}

void copyFrame(uint8_t* to, const uint8_t* head, const uint8_t* fpstate) {
  const FrameShape& shape = *plain.shape;
  if (shape.headBytes == kHeadBytesIa32) {
    copyBytes(to, head, kIa32FirstPart);
    copyBytes(to + kIa32FirstPart, head + kIa32SecondPart, kHeadBytesIa32 - kIa32FirstPart);
  } else {
    copyBytes(to, head, shape.headBytes);
  }
  copyBytes(to + kRecordHead - shape.fsaveBytes, fpstate - shape.fsaveBytes, shape.fsaveBytes + plain.bytes);
}

bool wellFormed(const Request& request) {
  return knownAbi(request.abi) && hasAbi(request.abi) && inArena(request.load, request.writtenBytes) && inArena(request.poison, request.writtenBytes) &&
         request.writtenBytes >= kXsaveHeader && g.control->stackBytes > kBelowAny;
}

}  // namespace

extern "C" void sigframe_on_plain_signal(uintptr_t at) {
  if (sigframe_fire.armed == 0) return;
  setPhase(Phase::kHandler);
  const FrameShape& shape = *plain.shape;
  const auto* head = reinterpret_cast<const uint8_t*>(at);
  uint64_t pointer = 0;
  __builtin_memcpy(&pointer, head + shape.pointerAt, shape.pointerBytes);
  auto* fpstate = reinterpret_cast<uint8_t*>(pointer + shape.fsaveBytes);
  copyFrame(plain.written, head, fpstate);
  if (plain.bad) fpstate[kXcompBv + 7] |= 0x80;  // bit 63: compacted, which this image is not
  copyFrame(plain.sent, head, fpstate);
  setPhase(Phase::kReturning);
}

void runPlainLoop() {
  const Request& request = *g.request;
  g.outcome->ending = Ending::kHarness;
  if (!wellFormed(request)) return;
  const size_t written = (size_t{request.writtenBytes} + 63) / 64 * 64;
  const size_t area = written < kLeastArea ? kLeastArea : written;
  const size_t stride = 2 * (kRecordHead + area) + area;
  uint8_t* const room = roomFor(g.control->stackBytes + 2 * area + kRecords * stride);
  if (room == nullptr) return;
  uint8_t* const load = room + g.control->stackBytes;
  uint8_t* const poison = load + area;
  uint8_t* const records = poison + area;
  copyBytes(load, g.arena + request.load, request.writtenBytes);
  copyBytes(poison, g.arena + request.poison, request.writtenBytes);
  plain.shape = &shapeOf(request.abi);
  plain.bytes = request.writtenBytes;
  plain.bad = request.bad != 0;
  Fire& fire = sigframe_fire;
  fire.stack = reinterpret_cast<uint64_t>(load - kBelowAny);
  fire.load = reinterpret_cast<uint64_t>(load);
  fire.poison = reinterpret_cast<uint64_t>(poison);
  fire.rfbm = request.rfbm;
  fire.signal = static_cast<uint32_t>(plainSignal(request.abi));
  fire.how = How::kSyscall;
  fire.number = SYS_tgkill;
  fire.arguments[0] = fire.tgid;
  fire.arguments[1] = fire.tid;
  fire.arguments[2] = fire.signal;
  const bool ia32 = isIa32(request.abi);
  uint64_t rejected = 0;
  const uint64_t start = nowNs();
  for (uint64_t i = 0; i < request.count; i++) {
    plain.written = records + i % kRecords * stride;
    plain.sent = plain.written + kRecordHead + area;
    uint8_t* after = plain.sent + kRecordHead + area;
    fire.after = reinterpret_cast<uint64_t>(after);
    fillBytes(after + kXsaveHeader, 0, kXsaveHeaderBytes);
    g.outcome->faults = 0;
    setPhase(Phase::kArmed);
    sigframe_fire64(&fire);
    if (ia32) restoreThreadPointer();
    rejected += g.outcome->faults;
  }
  g.outcome->elapsedNs = nowNs() - start;
  fire.armed = 0;
  setPhase(Phase::kIdle);
  const bool asMeant = rejected == (plain.bad ? request.count : 0);
  g.outcome->ending = asMeant ? Ending::kReturned : Ending::kHarness;
}

}  // namespace sigframe
