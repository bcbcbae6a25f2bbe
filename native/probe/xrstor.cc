// Questions to the CPU: what XRSTOR or FXRSTOR makes of bytes, in user mode, where the kernel has no say. Nothing of the
// bytes is checked: a fault is an answer, and what faults has loaded nothing that the next request does not load anew.
// Bytes that close protection key 0 are the end of this process, which Node tells.
#include "probe/fire.h"
#include "probe/state.h"

namespace sigframe {
namespace {

bool wellFormed(const Request& request) {
  const bool fxrstor = (request.flags & kRequestFxrstor) != 0;
  const bool guarded = (request.flags & kRequestGuarded) != 0;
  if (guarded && (request.sentBytes > g.control->spareBytes || !inArena(request.load, request.sentBytes))) return false;
  return (fxrstor || sigframe_fire.fxsave == 0) && imageInArena(request.poison) && imageInArena(request.after) &&
         inArena(request.load, kXsaveHeader + kXsaveHeaderBytes);
}

/** The bytes where they lie, or a copy that ends where nothing can be read. */
const uint8_t* askedBytes(const Request& request) {
  const uint8_t* bytes = g.arena + request.load;
  if ((request.flags & kRequestGuarded) == 0) return bytes;
  uint8_t* copy = g.arena + g.control->spare + g.control->spareBytes - request.sentBytes;
  copyBytes(copy, bytes, request.sentBytes);
  return copy;
}

}  // namespace

void runXrstor() {
  const Request& request = *g.request;
  Outcome& outcome = *g.outcome;
  outcome.ending = Ending::kHarness;
  if (!wellFormed(request)) return;
  Fire& fire = sigframe_fire;
  fire.load = reinterpret_cast<uint64_t>(askedBytes(request));
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
