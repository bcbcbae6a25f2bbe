// Questions to the CPU: what XRSTOR or FXRSTOR makes of bytes, in user mode, where the kernel has no say. Nothing of the
// bytes is checked: a fault is an answer, and what faults has loaded nothing that the next request does not load anew.
// Bytes that close protection key 0 are the end of this process, which Node tells.
#include "probe/fire.h"
#include "probe/state.h"

namespace sigframe {
namespace {

bool wellFormed(const Request& request) {
  const bool fxrstor = (request.flags & kRequestFxrstor) != 0;
  return (fxrstor || sigframe_fire.fxsave == 0) && imageInArena(request.poison) && imageInArena(request.after) &&
         inArena(request.load, kXsaveHeader + kXsaveHeaderBytes);
}

}  // namespace

void runXrstor() {
  const Request& request = *g.request;
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kHarness;
  if (!wellFormed(request)) return;
  Fire& fire = sigframe_fire;
  fire.load = reinterpret_cast<uint64_t>(g.arena + request.load);
  fire.poison = reinterpret_cast<uint64_t>(g.arena + request.poison);
  fire.after = reinterpret_cast<uint64_t>(g.arena + request.after);
  fire.rfbm = request.rfbm;
  fire.mask = request.mask;
  fire.fxrstor = request.flags & kRequestFxrstor;
  // XSAVE only ORs into the header (SDM vol. 1, 13.7).
  fillBytes(g.arena + request.after + kXsaveHeader, 0, kXsaveHeaderBytes);
  outcome.ending = Ending::kReturned;
  setPhase(Phase::kArmed);
  sigframe_xrstor64(&fire);
  setPhase(Phase::kIdle);
}

}  // namespace sigframe
