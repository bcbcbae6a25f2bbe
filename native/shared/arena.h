// The arena: one sealed memfd that Node and its probe process both map. This header is the one
// definition of its layout; the addon tells TypeScript the offsets (addon.cc), nothing repeats them.
//
//   | Control | Request[kRingSlots] | Outcome[kRingSlots] | stack | page | spare | guard | data |
//
// `stack` is where the kernel writes the signal frame, `spare` is the second buffer that a frame's
// fpstate can be moved to (the page before it takes the fsave header of a 32-bit frame, the guard
// behind it is PROT_NONE in the probe process), `data` holds images, edits and records at offsets that
// TypeScript chooses. In the probe process all of it lies below 4 GiB, where 32-bit frames can be.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace sigframe {

constexpr uint32_t kArenaMagic = 0x52465347;  // "GSFR"
constexpr uint32_t kArenaVersion = 4;
constexpr int kArenaFd = 3;  // where the probe process finds it after exec
constexpr size_t kPage = 4096;
// Larger than any frame: whatever one claims to have behind its end there cannot be read.
constexpr size_t kGuardBytes = 16 * kPage;
constexpr uint32_t kRingSlots = 128;

// What of a 64-bit rt_sigframe lies below the fpstate: pretcode (8), struct ucontext (304),
// siginfo (128). arch/x86/include/asm/sigframe.h, struct rt_sigframe.
constexpr uint32_t kHeadBytes = 440;
// struct rt_sigframe_ia32, with retcode. arch/x86/include/asm/sigframe.h.
constexpr uint32_t kHeadBytesIa32Rt = 268;
// struct sigframe_ia32: pretcode, sig and sigcontext_32; then, behind the unused 624 bytes of
// fpstate_unused, extramask and retcode. Both parts are recorded side by side.
constexpr uint32_t kHeadBytesIa32 = 108;
constexpr uint32_t kIa32FirstPart = 96;
constexpr uint32_t kIa32SecondPart = 720;
// struct rt_sigframe_x32: pretcode, struct ucontext_x32 with a 64-bit sigcontext, compat siginfo.
constexpr uint32_t kHeadBytesX32 = 424;
// The fsave header that lies right below the XSAVE area of a 32-bit frame: struct fregs_state.
constexpr uint32_t kFsaveBytes = 112;

/** Which frame the kernel writes: told by how the handler was registered. */
enum class Abi : uint32_t { kX86_64 = 0, kIa32Rt = 1, kIa32 = 2, kX32 = 3 };

/** How the signal comes. */
enum class Raise : uint32_t {
  kTgkill = 0,    // the thread sends it to itself, by syscall
  kTgkill32 = 1,  // the same from 32-bit code, by int $0x80
  kBlocked = 2,   // a sibling on the same CPU sends it while the thread sleeps in ppoll
  kTimer = 3,     // a timer, while the thread spins in user mode
  kIpi = 4,       // a sibling on another CPU, while the thread spins
  kFake = 5,      // none: sigreturn on a frame that is built from nothing
  kStill = 6,     // traced: none, and no frame at all
};

/** What the alternate signal stack's pages are, when the frame is to be written there. */
enum class StackState : uint32_t {
  kNone = 0,  // no alternate stack: the frame goes below the stack pointer
  kPlain = 1,
  kFresh = 2,       // never touched
  kReadOnly = 3,
  kUnreadable = 4,
  kLate = 5,        // served by userfaultfd while the kernel waits
  kClosedKey = 6,   // with a protection key (key 1, the first that pkey_alloc gives)
};

/** What becomes of pages of the second buffer right before the return. */
enum class PageState : uint32_t {
  kEvicted = 1,     // not mapped until touched
  kReadOnly = 2,
  kUnreadable = 3,
  kHole = 4,        // mapped, behind the end of its file
  kLate = 5,        // served by userfaultfd
  kContended = 6,   // evicted by a sibling on another CPU, over and over
};

/** How a probe ended, as the probe process itself can see it. */
enum class Ending : uint32_t {
  kNone = 0,
  kReturned = 1,
  kSignal = 2,
  kHarness = 3,
  kDied = 4,     // isolated: by Outcome.signal, or with exit code Outcome.siCode
  kTimeout = 5,  // isolated: killed after Request.timeoutMs
  kRefused = 6,  // a system call that prepares the probe failed: Outcome.signal is a Refusal, siCode its errno
};

/** Which preparation failed. */
enum class Refusal : int32_t {
  kSigaltstack = 1, kUserfaultfd = 2, kPkey = 3, kSibling = 4, kTimer = 5, kOtherCpu = 6, kPages = 7, kFork = 8,
  kShadowStack = 9, kTraceMe = 10, kTraceOptions = 11, kTraceContinue = 12, kTraceWait = 13,
};

/** Where a signal hit the probe, or what it died of: `kAfter` is behind a sigreturn that went well. */
enum class Where : uint32_t { kNone = 0, kLoad = 1, kDelivery = 2, kSigreturn = 3, kAfter = 4, kHandler = 5 };

/**
 * `kXrstor`: no signal at all. The registers are filled from `poison`, then XRSTOR with `mask`, or FXRSTOR, is executed on
 * the bytes at `load` as they are, at any address, or on a copy before the guard, and XSAVE saves to `after`. A fault of that instruction is an answer:
 * Ending::kSignal at Where::kLoad.
 *
 * `kTraced`: a probe in a process that is traced. It stops with `load` in its registers, and again when it has saved them
 * at the end; at each stop those of its TraceCalls that are for it are made. `kTraceLoop` is the plain loop of these.
 * `kKvm`: no probe: `count` KvmCalls that lie at `load` (shared/kvm.h).
 */
enum class RequestKind : uint32_t {
  kProbe = 0,
  kPlainLoop = 1,
  kSwitch = 2,
  kStress = 3,
  kXrstor = 4,
  kTraced = 5,
  kTraceLoop = 6,
  kKvm = 16,
};

/** A frame waits for Node's callback (kFrameReady), or goes back edited (kReplied). */
enum class Live : uint32_t { kNone = 0, kFrameReady = 1, kReplied = 2 };

constexpr uint32_t kRequestLive = 1;      // stop in the handler and let Node edit the frame
constexpr uint32_t kRequestIsolated = 2;  // in a throw-away fork
constexpr uint32_t kRequestShadowStack = 4;  // in such a fork, with a shadow stack
constexpr uint32_t kRequestFxrstor = 8;  // kXrstor: by FXRSTOR, the one that there is without XSAVE
constexpr uint32_t kRequestGuarded = 16;  // kXrstor: on `sentBytes` of them, right before the guard
constexpr uint32_t kRequestLastTraced = 32;  // kTraced: the traced process ends with it

/** What an operation's offset counts from. */
enum class Region : uint16_t { kArea = 0, kHead = 1, kFsave = 2 };

/** One edit operation as the signal handler executes it. */
enum class OpCode : uint16_t {
  kWrite = 1,    // payload bytes at `at`
  kAnd = 2,      // little-endian unsigned of `length` (2, 4 or 8) bytes at `at`, &= value
  kOr = 3,
  kXor = 4,
  kFill = 5,     // `length` bytes at `at` become the low byte of value
  kMove = 6,     // copy `length` bytes to the spare buffer at offset `at`; the frame then points there
  kPointer = 7,  // the frame's fpstate pointer becomes value
  kOffset = 8,   // the fpstate pointer moves by the signed value, the bytes stay
  kPages = 9,    // isolated: the pages of the second buffer with [at, at + length) become PageState value
};

struct Op {
  OpCode code;
  Region region;
  uint32_t at;
  uint32_t length;
  uint32_t payload;  // arena offset
  uint64_t value;
};
static_assert(sizeof(Op) == 24);

/** What a tracer does with a regset of a stopped process. */
enum class TraceDo : uint32_t { kGet = 1, kSet = 2 };

/** At which of its stops a traced process is. */
enum class Stop : uint32_t { kNone = 0, kLoaded = 1, kEnded = 2 };

/** Where the buffer of such a call lies. */
enum class TraceBuffer : uint32_t { kArena = 0, kNull = 1, kGuard = 2 };

/** One PTRACE_GETREGSET or PTRACE_SETREGSET. */
struct TraceCall {
  TraceDo what;
  Stop when;
  uint32_t note;  // NT_X86_XSTATE
  TraceBuffer buffer;
  uint32_t at;    // arena offset of the bytes
  uint32_t room;  // of what may be read or written there
  uint64_t size;  // iov_len as it is handed over
  uint64_t told;  // and as the kernel leaves it
  int32_t error;  // errno, 0, or kNotCalled
  uint32_t unused;
};
static_assert(sizeof(TraceCall) == 48);
constexpr int32_t kNotCalled = -1;
constexpr uint32_t kMostTraceCalls = 8;

/** One probe. All offsets count from the start of the arena; images are 64-byte aligned, but for what kXrstor loads. */
struct alignas(64) Request {
  RequestKind kind;
  uint32_t flags;
  uint64_t rfbm;  // requested-feature bitmap of the load, the poison and the save
  uint32_t load;
  uint32_t poison;
  uint32_t ops;      // stress: its Stress
  uint32_t opCount;
  uint32_t written;       // 0: not recorded; else kHeadBytes of head, then the fpstate at +written64
  uint32_t writtenBytes;  // of the fpstate
  uint32_t sent;
  uint32_t sentBytes;
  uint32_t after;
  uint32_t sentFrom;  // live: where Node left the fpstate that it sends
  uint64_t count;     // kKvm: calls; plain loop, switches: rounds; stress: the most of them; isolated: how often, 0 as 1
  uint64_t bad;       // plain loop: non-zero for frames that the kernel rejects
  Abi abi;
  Raise raise;
  uint32_t built;       // fake: the fpstate as the kernel would have written it, the fsave header right before it
  uint32_t sibling;     // the image that a sibling holds in its registers
  StackState stack;     // isolated, but for kNone
  uint32_t stackBytes;  // of the alternate stack
  uint32_t timeoutMs;   // isolated
  uint32_t threads;     // switches, stress: how many images lie at `load`, and come back at `after`; traced: how many calls
  uint32_t stride;      // switches, stress: bytes from one image to the next; traced: where its TraceCalls are
  uint64_t mask;        // kXrstor: the requested-feature bitmap of the asked XRSTOR; rfbm is that of what surrounds it
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
  uint64_t sentPointer;  // the XSAVE area that the fpstate pointer as sent leads to
  uint64_t elapsedNs;    // plain loop; isolated and repeated: how often it was done
  uint32_t slept;        // how often the thread gave up its CPU between the load and the save
  uint32_t served;       // page faults that userfaultfd stopped; repeated: how many frames were refused
};
static_assert(sizeof(Outcome) == 64);

constexpr uint32_t kMostStressCpus = 64;

/** How a round of a stress request has its signals. */
enum class Way : uint32_t {
  kTgkill = 0,    // by syscall
  kTgkill32 = 1,  // by int $0x80, from 32-bit code
  kMixed = 2,     // by syscall, while timers may interrupt
  kSpin = 3,      // from a timer, while the thread spins
  kYield = 4,     // from a timer, while the thread gives up its CPU
};

/** What became of a lost round. */
enum class Loss : uint32_t {
  kNone = 0,
  kRegisters = 1,  // the registers were not what they had been
  kSignal = 2,     // the signal did not come, or came more than once
};

/** What happened on one CPU of the list. */
struct StressOn {
  uint64_t rounds;
  uint64_t signals;
  uint64_t timed;  // how many of those came from timers
  uint64_t moves;  // from another CPU to this one
  uint64_t lost;   // rounds
};

/**
 * Many rounds of load, signal, poison, sigreturn, save and compare, with nobody told before the end. The images are
 * at Request.load; at Request.after there comes what XSAVE makes of each where no signal hits, then what it made of
 * the last round, then what it made of the first lost one.
 */
struct alignas(64) Stress {
  // What is asked.
  uint64_t seed;
  uint32_t limitMs;   // how long it may take
  uint32_t abis;      // a bit for each Abi to be used
  uint32_t cpuCount;
  uint32_t lane;      // where in the list it begins: lanes of one team are never on one CPU
  uint32_t team;      // lanes of one team move at the same times, by the same distance
  uint32_t spoil;     // in this round, counted from 1, the handler changes XMM0 in the frame: it must be found lost
  uint32_t cpus[kMostStressCpus];
  // What is told.
  uint64_t signals[4];  // that were handled, by Abi
  uint64_t refused;     // moves that the kernel refused
  uint64_t switches;    // how often the CPU was given to others, or taken
  Loss loss;            // of the first lost round, and what it was about
  uint32_t image, poison;
  Abi abi;
  Way way;
  uint32_t cpu;
  StressOn on[kMostStressCpus];
};
static_assert(sizeof(Stress) <= kPage);

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

  uint64_t allowedCpus[16];     // sched_setaffinity's mask: the CPUs that whoever runs Node has left to it
  std::atomic<uint32_t> phase;  // how far the current probe has come; outlives the fork that it runs in

  // Between the probe process and the one that it traces.
  uint32_t tracedSlot;              // which request it is to do
  std::atomic<uint32_t> traceStop;  // a Stop
  int32_t traceError;               // errno of PTRACE_TRACEME

  // Said once by the probe process.
  alignas(64) std::atomic<uint32_t> ready;  // 1 serving, 2 failed: see startupError
  int32_t startupError;                     // errno
  uint32_t startupStage;
  uint64_t base;       // address of the arena in the probe process
  uint64_t permitted;  // ARCH_GET_XCOMP_PERM; ~0 where the kernel has no such call
  int32_t ia32Error;   // 0: 32-bit frames can be had; else the errno of what they need, see Ia32Need
  uint32_t ia32Need;
  int32_t x32Error;  // 0: x32 frames can be had; else errno

  alignas(64) std::atomic<uint32_t> submitted;  // requests handed over so far (mod 2^32); child's futex
  std::atomic<uint32_t> childIdle;
  alignas(64) std::atomic<uint32_t> completed;
  alignas(64) std::atomic<uint32_t> bell;  // Node's futex: rung when all is done, or a frame waits
  alignas(64) std::atomic<uint32_t> live;  // a Live; the handler's futex
};
static_assert(sizeof(Control) <= kPage);
static_assert(std::atomic<uint32_t>::is_always_lock_free);

/** What 32-bit frames need and did not get. */
enum class Ia32Need : uint32_t { kNone = 0, kLowArena = 1, kInt80 = 2, kSigaction = 3 };

/** Stages of the probe process's start, for the error that names them. */
enum class Stage : uint32_t { kNone = 0, kGuard = 1, kPermission = 2, kSignals = 3 };

constexpr size_t kRequests = kPage;
constexpr size_t kOutcomes = kRequests + sizeof(Request) * kRingSlots;
constexpr size_t kFirstRegion = (kOutcomes + sizeof(Outcome) * kRingSlots + kPage - 1) / kPage * kPage;

}  // namespace sigframe
