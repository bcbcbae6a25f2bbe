// One probe, from its request to its outcome.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "probe/alternate_stack.h"
#include "probe/fake.h"
#include "probe/fire.h"
#include "probe/ia32.h"
#include "probe/pages.h"
#include "probe/sibling.h"
#include "probe/state.h"

namespace sigframe {
namespace {

/** Threads, timers and other stacks would outlive the probe. */
bool needsFork(const Request& request) {
  return request.stack != StackState::kNone || request.raise == Raise::kBlocked || request.raise == Raise::kTimer ||
         request.raise == Raise::kIpi;
}

}  // namespace

bool isProbe(const Request& request) {
  return (g.isolated || !needsFork(request)) && knownAbi(request.abi) && hasAbi(request.abi) &&
         imageInArena(request.load) && imageInArena(request.poison) && imageInArena(request.after) &&
         (request.sibling == 0 || imageInArena(request.sibling)) &&
         inArena(request.ops, uint64_t{request.opCount} * sizeof(Op)) &&
         (request.raise != Raise::kFake ||
          (request.built >= kFirstRegion + kFsaveBytes && inArena(request.built, request.writtenBytes))) &&
         (request.written == 0 || inArena(request.written, uint64_t{kRecordHead} + request.writtenBytes)) &&
         (request.sent == 0 || inArena(request.sent, uint64_t{kRecordHead} + request.sentBytes));
}

namespace {

/** What needs threads, timers, other pages or another stack: nothing that a process could undo. */
void prepareIsolated(const Request& request) {
  sigframe_fire.cleanFlags = 1;
  preparePages();
  if (request.stack != StackState::kNone) prepareAlternateStack();
}

/** How often this thread has given up its CPU of its own accord. */
uint32_t timesSlept() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return static_cast<uint32_t>(usage.ru_nvcsw);
}

void fireOnce(Fire& fire, const Request& request) {
  fire.armed = 0;
  fire.fired = request.raise == Raise::kStill ? 1 : 0;
  // XSAVE only ORs into the header (SDM vol. 1, 13.7).
  fillBytes(g.arena + request.after + kXsaveHeader, 0, kXsaveHeaderBytes);
  setPhase(Phase::kArmed);
  if (request.raise == Raise::kFake) {
    setPhase(Phase::kHandler);
    prepareFake();
    setPhase(Phase::kReturning);
  }
  sigframe_fire64(&fire);
  fire.armed = 0;
  setPhase(Phase::kIdle);
  if (isIa32(request.abi)) restoreThreadPointer();
}

/** The same frame many times over: counted, the last one recorded. */
void fireRepeatedly(Fire& fire, const Request& request) {
  Outcome& outcome = *g.outcome;
  const uint64_t stack = fire.stack;
  uint32_t refused = 0;
  for (uint64_t i = 0; i < request.count; i++) {
    outcome.faults = 0;
    fire.stack = stack;
    fire.load = reinterpret_cast<uint64_t>(g.arena + request.load);
    fireOnce(fire, request);
    settlePages();
    refused += outcome.faults;
    outcome.elapsedNs = i + 1;
    outcome.served = refused;
  }
  outcome.ending = Ending::kReturned;
}

}  // namespace

void runProbe() {
  const Request& request = *g.request;
  Outcome& outcome = *g.outcome;
  if (!isProbe(request)) {
    outcome.ending = Ending::kHarness;
    return;
  }
  const Control& control = *g.control;
  Fire& fire = sigframe_fire;
  fire.stack = reinterpret_cast<uint64_t>(g.arena) + control.stack + control.stackBytes - control.headroom;
  fire.load = reinterpret_cast<uint64_t>(g.arena + request.load);
  fire.poison = reinterpret_cast<uint64_t>(g.arena + request.poison);
  fire.after = reinterpret_cast<uint64_t>(g.arena + request.after);
  fire.rfbm = request.rfbm;
  fire.signal = static_cast<uint32_t>(shapeOf(request.abi).signal);
  if (g.isolated) prepareIsolated(request);
  prepareRaise(request.raise);
  if (g.isolated && request.count > 1) return fireRepeatedly(fire, request);

  const uint32_t slept = g.isolated ? timesSlept() : 0;
  fireOnce(fire, request);
  // By the time it goes on from its last stop, who traces it has told what became of it.
  if (fire.stops != 0) return;
  if (g.isolated) outcome.slept = timesSlept() - slept;
  if (outcome.ending != Ending::kNone) return;
  outcome.ending = Ending::kReturned;
  // Others had the CPU for so long that the sibling could not send it.
  if (outcome.frame == 0) outcome.ending = request.raise == Raise::kBlocked ? Ending::kTimeout : Ending::kHarness;
}

}  // namespace sigframe
