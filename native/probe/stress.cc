// Many random rounds: an image is loaded, a signal comes, its handler loads another image and returns the frame as it
// was, and what XSAVE writes then must be what it writes where no signal came, byte for byte.
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "probe/actions.h"
#include "probe/fire.h"
#include "probe/frame_shape.h"
#include "probe/ia32.h"
#include "probe/state.h"

namespace sigframe {

extern "C" {
volatile uint32_t sigframe_stress_signals[65];
}

namespace {

constexpr uint32_t kMostThreads = 8;
constexpr size_t kLegacy = 512;
constexpr size_t kSwBytes = 464;  // from here to 511 XSAVE writes nothing
constexpr size_t kXcompBv = 520;  // XSTATE_BV before it is a hint: hardware clears and leaves its bits as it likes
constexpr uint32_t kMostMs = 60000;

constexpr uint32_t kClockRounds = 16;       // the clock is read so often
constexpr uint64_t kStayNs = 2000000;       // on one CPU
constexpr uint64_t kTimerNs = 300000;       // between two signals of one timer at least
constexpr uint64_t kTimerSpread = 0x1ffff;  // ns, drawn on top
constexpr uint32_t kSoonNs = 8192;          // so soon at most one comes that a spinning thread waits for
constexpr uint32_t kSpins = 512;            // some ten microseconds of pause instructions
constexpr uint32_t kYields = 4;

// Below 4 GiB, as everything that is linked into this process: How::kWindow and the timers need it there.
uint64_t window = maskOf(kStressTimers);
int timers[kAbis];
long intervals[kAbis];
bool installed = false;

// As many bits as any kernel has CPUs.
struct CpuMask {
  uint64_t words[8192 / 64];
};
CpuMask one, before;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed | 1) {}
  uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d >> 32;
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(next() * n >> 32); }

 private:
  uint64_t state_;
};

struct Round {
  uint32_t image;
  uint32_t poison;
  Abi abi;
  Way way;
};

uint64_t nowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000u + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t timesSwitched() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<uint64_t>(usage.ru_nvcsw + usage.ru_nivcsw);
}

bool isUsed(const Stress& stress, uint32_t abi) { return (stress.abis >> abi & 1) != 0; }

bool wellFormed(const Request& request) {
  const uint64_t results = (uint64_t{request.threads} + 2) * request.stride;
  const size_t least = sigframe_fire.fxsave != 0 ? kLegacy : kLegacy + kXsaveHeaderBytes;
  if (request.threads < 2 || request.threads > kMostThreads || request.stride % 64 != 0 || request.load % 64 != 0 ||
      request.after % 64 != 0 || request.ops % 64 != 0 || request.writtenBytes % 8 != 0 ||
      request.writtenBytes < least || request.writtenBytes > request.stride || request.count < 1 ||
      !inArena(request.load, uint64_t{request.threads} * request.stride) || !inArena(request.after, results) ||
      !inArena(request.ops, sizeof(Stress))) {
    return false;
  }
  const auto& stress = *reinterpret_cast<const Stress*>(g.arena + request.ops);
  uint32_t possible = 0;
  for (uint32_t abi = 0; abi < kAbis; abi++) possible |= hasAbi(static_cast<Abi>(abi)) ? 1U << abi : 0;
  return stress.cpuCount >= 1 && stress.cpuCount <= kMostStressCpus && stress.limitMs <= kMostMs && stress.abis != 0 &&
         (stress.abis & ~possible) == 0;
}

/** False: the kernel refused, and errno is why. */
bool makeTimers() {
  for (uint32_t abi = 0; abi < kAbis; abi++) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = kStressTimers[abi];
    event._sigev_un._tid = static_cast<pid_t>(sigframe_fire.tid);
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timers[abi]) != 0) {
      const int error = errno;
      while (abi-- > 0) syscall(SYS_timer_delete, timers[abi]);
      errno = error;
      return false;
    }
  }
  return true;
}

/** Once in the life of the process. False: the request is refused, and its outcome says why. */
bool install() {
  if (installed) return true;
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kRefused;
  outcome.signal = static_cast<int32_t>(Refusal::kTimer);
  outcome.siCode = installStressActions();
  if (outcome.siCode != 0) return false;
  if (!makeTimers()) {
    outcome.siCode = errno;
    return false;
  }
  installed = true;
  outcome = Outcome{};
  return true;
}

/** The next signal comes in so many nanoseconds, or none at all; then they come in intervals. */
void setTimer(uint32_t abi, long next) {
  itimerspec when{};
  when.it_value.tv_nsec = next;
  when.it_interval.tv_nsec = next == 0 ? 0 : intervals[abi];
  syscall(SYS_timer_settime, timers[abi], 0, &when, nullptr);
}

void startTimers(const Stress& stress, Random& random) {
  for (uint32_t abi = 0; abi < kAbis; abi++) {
    if (!isUsed(stress, abi)) continue;
    intervals[abi] = static_cast<long>(kTimerNs + (random.next() & kTimerSpread));
    setTimer(abi, intervals[abi]);
  }
}

/** What is pending still is nobody's any more. */
void stopTimers() {
  for (uint32_t abi = 0; abi < kAbis; abi++) setTimer(abi, 0);
  const timespec now{};
  while (syscall(SYS_rt_sigtimedwait, &window, nullptr, &now, sizeof window) > 0) {
  }
}

bool sameBytes(const uint8_t* a, const uint8_t* b, size_t from, size_t to) {
  uint64_t different = 0;
  for (size_t i = from; i < to; i += 8) {
    uint64_t x, y;
    __builtin_memcpy(&x, a + i, sizeof x);
    __builtin_memcpy(&y, b + i, sizeof y);
    different |= x ^ y;
  }
  return different == 0;
}

bool sameState(const uint8_t* a, const uint8_t* b, size_t bytes) {
  return sameBytes(a, b, 0, kSwBytes) && (bytes <= kLegacy || sameBytes(a, b, kXcompBv, bytes));
}

uint64_t handled(const int (&signals)[kAbis]) {
  uint64_t sum = 0;
  for (const int signal : signals) sum += sigframe_stress_signals[signal];
  return sum;
}

/** The list of CPUs, and where in it this process is. Lanes of a team keep their distance: all CPUs have one. */
class Place {
 public:
  Place(Stress& stress, uint64_t now) : stress_(stress) { move(now); }

  /** Whether it is on one of its CPUs at all: else there is nothing to count it for. */
  bool isThere() const { return moved_; }
  uint32_t cpu() const { return stress_.cpus[at_]; }
  StressOn& on() { return stress_.on[at_]; }

  /** To where this lane belongs now, if that is elsewhere. */
  void follow(uint64_t now) {
    if (now / kStayNs != slot_) move(now);
  }

  /** What was handled since the last time was handled here. */
  void settle() {
    const uint64_t sent = handled(kStressSignals), timed = handled(kStressTimers);
    on().signals += sent - sent_ + timed - timed_;
    on().timed += timed - timed_;
    sent_ = sent;
    timed_ = timed;
  }

 private:
  void move(uint64_t now) {
    slot_ = now / kStayNs;
    Random step((slot_ * 0x9e3779b97f4a7c15) ^ (uint64_t{stress_.team} << 32));
    step.next();
    const uint32_t to = (stress_.lane % stress_.cpuCount + step.below(stress_.cpuCount)) % stress_.cpuCount;
    if (moved_ && to == at_) return;
    const uint32_t cpu = stress_.cpus[to];
    if (!moveTo(cpu)) return void(stress_.refused++);
    settle();
    at_ = to;
    if (moved_) on().moves++;
    moved_ = true;
  }

  static bool moveTo(uint32_t cpu) {
    if (cpu >= sizeof one * 8) return false;
    one.words[cpu / 64] = uint64_t{1} << cpu % 64;
    const long result = syscall(SYS_sched_setaffinity, 0, sizeof one, &one);
    one.words[cpu / 64] = 0;
    return result == 0;
  }

  Stress& stress_;
  uint64_t slot_ = 0;
  uint64_t sent_ = 0;
  uint64_t timed_ = 0;
  uint32_t at_ = 0;
  bool moved_ = false;
};

/** Mostly the quick ones: what waits for a timer takes as long as some of them. */
Way drawWay(Random& random) {
  const uint32_t drawn = random.below(32);
  if (drawn < 22) return drawn < 16 || g.control->ia32Error != 0 ? Way::kTgkill : Way::kTgkill32;
  if (drawn < 29) return Way::kMixed;
  return drawn < 30 ? Way::kSpin : Way::kYield;
}

Round drawRound(const Request& request, const Stress& stress, Random& random) {
  Round round{};
  round.image = random.below(request.threads);
  round.poison = (round.image + 1 + random.below(request.threads - 1)) % request.threads;
  do {
    round.abi = static_cast<Abi>(random.below(kAbis));
  } while (!isUsed(stress, static_cast<uint32_t>(round.abi)));
  round.way = drawWay(random);
  return round;
}

bool isSent(Way way) { return way == Way::kTgkill || way == Way::kTgkill32 || way == Way::kMixed; }

void aim(Fire& fire, const Round& round, Random& random) {
  fire.signal = static_cast<uint32_t>(kStressSignals[static_cast<uint32_t>(round.abi)]);
  fire.number = SYS_tgkill;
  fire.arguments[0] = fire.tgid;
  fire.arguments[1] = fire.tid;
  fire.arguments[2] = fire.signal;
  fire.spins = 1;
  switch (round.way) {
    case Way::kTgkill:
      fire.how = How::kSyscall;
      break;
    case Way::kTgkill32:
      fire.how = How::kCode32;
      break;
    case Way::kMixed:
      fire.how = How::kWindow;
      break;
    case Way::kSpin:
      fire.how = How::kWindow;
      fire.number = kNoCall;
      fire.spins = kSpins;
      setTimer(static_cast<uint32_t>(round.abi), 1 + random.below(kSoonNs));
      break;
    case Way::kYield:
      fire.how = How::kWindow;
      fire.number = SYS_sched_yield;
      fire.spins = 1 + random.below(kYields);
      break;
  }
}

class Run {
 public:
  Run(const Request& request, Stress& stress)
      : request_(request), stress_(stress), bytes_(request.writtenBytes), random_(stress.seed) {}

  /** What each image is without a signal. */
  void expect() {
    Fire& fire = sigframe_fire;
    fire.how = How::kSpin;
    fire.spins = 1;
    for (uint32_t i = 0; i < request_.threads; i++) {
      fire.fired = 1;
      save(load(i), result(i));
    }
  }

  void rounds() {
    uint64_t now = nowNs();
    const uint64_t end = now + uint64_t{stress_.limitMs} * 1000000;
    Place place(stress_, now);
    if (!place.isThere()) {
      g.outcome->ending = Ending::kRefused;
      g.outcome->signal = static_cast<int32_t>(Refusal::kOtherCpu);
      g.outcome->siCode = ENODEV;
      return;
    }
    startTimers(stress_, random_);
    for (uint64_t i = 0; i < request_.count && g.outcome->faults == 0; i++) {
      if (i % kClockRounds == 0 && i != 0) {
        now = nowNs();
        if (now >= end) break;
        place.follow(now);
      }
      sigframe_fire.spoil = 0;
      Round round = drawRound(request_, stress_, random_);
      if (i + 1 == stress_.spoil) {
        round.way = Way::kTgkill;
        sigframe_fire.spoil = 1;
      }
      const Loss loss = play(round);
      place.on().rounds++;
      if (loss == Loss::kNone) continue;
      if (!lostBefore_ && g.outcome->faults == 0) tell(round, loss, place.cpu());
      place.on().lost++;
      lostBefore_ = true;
    }
    stopTimers();
    place.settle();
  }

 private:
  uint8_t* load(uint32_t i) const { return g.arena + request_.load + size_t{i} * request_.stride; }
  uint8_t* result(uint32_t i) const { return g.arena + request_.after + size_t{i} * request_.stride; }

  void save(const uint8_t* image, uint8_t* after) {
    Fire& fire = sigframe_fire;
    fire.load = reinterpret_cast<uint64_t>(image);
    fire.after = reinterpret_cast<uint64_t>(after);
    // What XSAVE leaves alone is the same in all results then.
    fillBytes(after, 0, bytes_);
    sigframe_fire64(&fire);
    if (g.control->ia32Error == 0) restoreThreadPointer();
  }

  Loss play(const Round& round) {
    Fire& fire = sigframe_fire;
    aim(fire, round, random_);
    fire.poison = reinterpret_cast<uint64_t>(load(round.poison));
    fire.fired = 0;
    const uint32_t handled = sigframe_stress_signals[fire.signal];
    uint8_t* after = result(request_.threads);
    save(load(round.image), after);
    if (sigframe_stress_signals[fire.signal] - handled != (isSent(round.way) ? 1 : 0)) return Loss::kSignal;
    return sameState(after, result(round.image), bytes_) ? Loss::kNone : Loss::kRegisters;
  }

  void tell(const Round& round, Loss loss, uint32_t cpu) {
    stress_.loss = loss;
    stress_.image = round.image;
    stress_.poison = round.poison;
    stress_.abi = round.abi;
    stress_.way = round.way;
    stress_.cpu = cpu;
    copyBytes(result(request_.threads + 1), result(request_.threads), bytes_);
  }

  const Request& request_;
  Stress& stress_;
  const size_t bytes_;
  Random random_;
  bool lostBefore_ = false;
};

void countSignals(Stress& stress) {
  for (uint32_t abi = 0; abi < kAbis; abi++) {
    stress.signals[abi] =
        uint64_t{sigframe_stress_signals[kStressSignals[abi]]} + sigframe_stress_signals[kStressTimers[abi]];
  }
}

}  // namespace

void runStress() {
  const Request& request = *g.request;
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kHarness;
  if (!wellFormed(request)) return;
  outcome.ending = Ending::kNone;
  if (!install()) return;
  auto& stress = *reinterpret_cast<Stress*>(g.arena + request.ops);
  const long known = syscall(SYS_sched_getaffinity, 0, sizeof before, &before);
  for (auto& count : sigframe_stress_signals) count = 0;
  Fire& fire = sigframe_fire;
  const Control& control = *g.control;
  fire.stack = reinterpret_cast<uint64_t>(g.arena) + control.stack + control.stackBytes - control.headroom;
  fire.rfbm = request.rfbm;
  fire.window = reinterpret_cast<uint64_t>(&window);
  fire.armed = 0;
  fire.spoil = 0;
  const uint64_t switched = timesSwitched();
  const uint64_t start = nowNs();
  // For good: nothing else in this process uses them.
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, &window, nullptr, sizeof window);
  setPhase(Phase::kArmed);
  Run run(request, stress);
  run.expect();
  run.rounds();
  setPhase(Phase::kIdle);
  countSignals(stress);
  stress.switches = timesSwitched() - switched;
  outcome.elapsedNs = nowNs() - start;
  if (known > 0) syscall(SYS_sched_setaffinity, 0, static_cast<size_t>(known), &before);
  if (outcome.ending == Ending::kNone) outcome.ending = Ending::kReturned;
}

}  // namespace sigframe
