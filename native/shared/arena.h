// The arena: one sealed memfd that Node and its probe process both map. This header is the one
// definition of its layout; the addon tells TypeScript the offsets (addon.cc), nothing repeats them.
//
//   | Control | Request[kRingSlots] | Outcome[kRingSlots] | stack | spare | guard page | data |
//
// `stack` is where the kernel writes the signal frame, `spare` is the second buffer that a frame's
// fpstate can be moved to (the guard page behind it is PROT_NONE in the probe process), `data` holds
// images, edits and records at offsets that TypeScript chooses.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sigframe {

constexpr uint32_t kArenaMagic = 0x52465347;  // "GSFR"
constexpr uint32_t kArenaVersion = 1;
constexpr int kArenaFd = 3;  // where the probe process finds it after exec
constexpr size_t kPage = 4096;
constexpr uint32_t kRingSlots = 128;

// What of a 64-bit rt_sigframe lies below the fpstate: pretcode (8), struct ucontext (304),
// siginfo (128). arch/x86/include/asm/sigframe.h, struct rt_sigframe.
constexpr uint32_t kHeadBytes = 440;

/** How a probe ended, as the probe process itself can see it. */
enum class Ending : uint32_t { kNone = 0, kReturned = 1, kSignal = 2, kHarness = 3 };

/** Where a signal hit the probe. */
enum class Where : uint32_t { kNone = 0, kLoad = 1, kDelivery = 2, kSigreturn = 3 };

enum class RequestKind : uint32_t { kProbe = 0, kPlainLoop = 1 };

/** A frame waits for Node's callback (kFrameReady), or goes back edited (kReplied). */
enum class Live : uint32_t { kNone = 0, kFrameReady = 1, kReplied = 2 };

constexpr uint32_t kRequestLive = 1;  // stop in the handler and let Node edit the frame

/** One edit operation as the signal handler executes it. Offsets count from the fpstate's start. */
enum class OpCode : uint32_t {
  kWrite = 1,    // payload bytes at `at`
  kAnd = 2,      // little-endian unsigned of `length` (4 or 8) bytes at `at`, &= value
  kOr = 3,
  kXor = 4,
  kFill = 5,     // `length` bytes at `at` become the low byte of value
  kMove = 6,     // copy `length` bytes to the spare buffer at offset `at`; the frame then points there
  kPointer = 7,  // the frame's fpstate pointer becomes value
  kOffset = 8,   // the fpstate pointer moves by the signed value, the bytes stay
};

struct Op {
  OpCode code;
  uint32_t at;
  uint32_t length;
  uint32_t payload;  // arena offset
  uint64_t value;
};
static_assert(sizeof(Op) == 24);

/** One probe. All offsets count from the start of the arena; images are 64-byte aligned. */
struct alignas(64) Request {
  RequestKind kind;
  uint32_t flags;
  uint64_t rfbm;  // requested-feature bitmap of the load, the poison and the save
  uint32_t load;
  uint32_t poison;
  uint32_t ops;
  uint32_t opCount;
  uint32_t written;       // 0: not recorded; else kHeadBytes of head, then the fpstate at +written64
  uint32_t writtenBytes;  // of the fpstate
  uint32_t sent;
  uint32_t sentBytes;
  uint32_t after;
  uint32_t sentFrom;  // live: where Node left the fpstate that it sends
  uint64_t count;     // plain loop: iterations
  uint64_t bad;       // plain loop: non-zero for frames that the kernel rejects
};
static_assert(sizeof(Request) == 128);

/** Bytes between the start of a record and the fpstate in it: the head, rounded up to a cache line. */
constexpr uint32_t kRecordHead = 448;

struct alignas(64) Outcome {
  Ending ending;
  Where where;
  int32_t signal;
  int32_t siCode;
  uint64_t siAddr;
  uint32_t frame;        // arena offset of the frame as the kernel wrote it; 0: no handler ran
  uint32_t fpstate;      // arena offset of its fpstate
  uint32_t sentFpstate;  // arena offset of the fpstate that was sent
  uint32_t faults;       // signals other than the probe's own
  uint64_t sentPointer;  // the fpstate pointer as sent
  uint64_t elapsedNs;    // plain loop
};
static_assert(sizeof(Outcome) == 64);

/** The control page. Never handed to JavaScript. */
struct alignas(64) Control {
  uint32_t magic;
  uint32_t version;
  uint64_t bytes;  // of the whole arena
  uint32_t stack, stackBytes;
  uint32_t headroom;  // bytes of `stack` kept free above the frame, for edits that enlarge it in place
  uint32_t spare, spareBytes;
  uint32_t data, dataBytes;
  uint64_t permissions;  // components to ask of ARCH_REQ_XCOMP_PERM

  // Said once by the probe process.
  alignas(64) std::atomic<uint32_t> ready;  // 1 serving, 2 failed: see startupError
  int32_t startupError;                     // errno
  uint32_t startupStage;
  uint64_t base;       // address of the arena in the probe process
  uint64_t permitted;  // ARCH_GET_XCOMP_PERM; ~0 where the kernel has no such call

  alignas(64) std::atomic<uint32_t> submitted;  // requests handed over so far (mod 2^32); child's futex
  std::atomic<uint32_t> childIdle;
  alignas(64) std::atomic<uint32_t> completed;
  alignas(64) std::atomic<uint32_t> bell;  // Node's futex: rung when all is done, or a frame waits
  alignas(64) std::atomic<uint32_t> live;  // a Live; the handler's futex
};
static_assert(sizeof(Control) <= kPage);
static_assert(std::atomic<uint32_t>::is_always_lock_free);

/** Stages of the probe process's start, for the error that names them. */
enum class Stage : uint32_t { kNone = 0, kGuard = 1, kPermission = 2, kSignals = 3 };

constexpr size_t kRequests = kPage;
constexpr size_t kOutcomes = kRequests + sizeof(Request) * kRingSlots;
constexpr size_t kFirstRegion = (kOutcomes + sizeof(Outcome) * kRingSlots + kPage - 1) / kPage * kPage;

}  // namespace sigframe
