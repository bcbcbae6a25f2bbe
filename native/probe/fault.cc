// The signals that the kernel sends for a bad frame (or that a bad image earns at the load, or bytes that are asked about)
// are ordinary outcomes: recorded, and the probe goes on. Anything else ends the process by the signal
// itself, and Node reports that it died.
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>

#include "probe/actions.h"
#include "probe/fire.h"
#include "probe/state.h"

namespace sigframe {
namespace {

/** Whether the probe's signal can have come here: from behind the load to behind the raise. */
bool isRaised(uintptr_t rip) {
  const auto at = [](const char* label) { return reinterpret_cast<uintptr_t>(label); };
  if (rip == at(sigframe_fire32_raised)) return true;
  return rip > at(sigframe_fire64_load) && rip != at(sigframe_fire64_load_fx) && rip <= at(sigframe_fire64_raised);
}

/** Whether it is the instruction that a request asks about: the loads before it are the harness's own. */
bool isAsked(uintptr_t rip) {
  const auto at = [rip](const char* label) { return rip == reinterpret_cast<uintptr_t>(label); };
  return at(sigframe_xrstor64_asked) || at(sigframe_xrstor64_asked_fx) || at(sigframe_xrstor64_asked_fx_only);
}

Where whereOf(Phase phase, uintptr_t rip) {
  const auto at = [rip](const char* label) { return rip == reinterpret_cast<uintptr_t>(label); };
  if (phase == Phase::kArmed && (at(sigframe_fire64_load) || at(sigframe_fire64_load_fx))) return Where::kLoad;
  if (phase == Phase::kArmed && isAsked(rip)) return Where::kLoad;
  if (phase == Phase::kArmed && isRaised(rip)) return Where::kDelivery;
  // The kernel has restored RIP from the frame by the time it finds the fpstate bad.
  if (phase == Phase::kReturning && isRaised(rip)) return Where::kSigreturn;
  return phase == Phase::kReturning && g.isolated ? Where::kAfter : Where::kNone;
}

/** A frame may have brought segments with which no user code can go on: in a fork that ends, ours will do. */
void mendSegments(ucontext_t* context) {
  // arch/x86/include/asm/segment.h
  constexpr greg_t kUser32Cs = 0x23, kUserCs = 0x33, kUserDs = 0x2b;
  constexpr greg_t kSelector = 0xffff;
  auto& registers = context->uc_mcontext.gregs;
  const bool code32 = registers[REG_RIP] == reinterpret_cast<greg_t>(sigframe_fire32_raised);
  registers[REG_CSGSFS] = (registers[REG_CSGSFS] & (kSelector << 16 | kSelector << 32)) |
                          (code32 ? kUser32Cs : kUserCs) | kUserDs << 48;
}

void dieOf(int signal) {
  setDefaultAction(signal);
  syscall(SYS_tgkill, getpid(), static_cast<pid_t>(syscall(SYS_gettid)), signal);
}

}  // namespace

void onFault(int signal, siginfo_t* info, void* opaque) {
  auto* context = static_cast<ucontext_t*>(opaque);
  auto& rip = context->uc_mcontext.gregs[REG_RIP];
  Where where = whereOf(phaseNow(), static_cast<uintptr_t>(rip));
  // The kernel's own refusals say SI_KERNEL; a trap at the same address is the first step after the return.
  if (where == Where::kSigreturn && g.isolated && info->si_code != SI_KERNEL) where = Where::kAfter;
  Outcome& outcome = *g.outcome;
  if (where == Where::kNone || outcome.faults++ != 0) return dieOf(signal);
  outcome.ending = Ending::kSignal;
  outcome.where = where;
  outcome.signal = signal;
  outcome.siCode = info->si_code;
  outcome.siAddr = reinterpret_cast<uint64_t>(info->si_addr);
  // Nobody else will end its waiting.
  if (where == Where::kDelivery) sigframe_fire.fired = 1;
  if (where == Where::kLoad) {
    const bool asked = isAsked(static_cast<uintptr_t>(rip));
    rip = reinterpret_cast<greg_t>(asked ? sigframe_xrstor64_skip : sigframe_fire64_skip);
  }
  // Wherever the frame led, there is no way back.
  if (where == Where::kAfter) quit(0);
  if (g.isolated) mendSegments(context);
}

}  // namespace sigframe
