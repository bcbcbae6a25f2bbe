// The addon's surface: the session class, the CPU's description, and the arena's layout as numbers, so
// that TypeScript repeats none of them.
#include <napi.h>

#include "addon/cpuid.h"
#include "addon/session.h"
#include "shared/kvm.h"

namespace sigframe {
namespace {

Napi::Object arenaNumbers(Napi::Env env) {
  Napi::Object out = Napi::Object::New(env);
  const auto set = [&](const char* name, size_t value) {
    out.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("first", kRequests);
  set("ringSlots", kRingSlots);
  set("requests", kRequests);
  set("requestBytes", sizeof(Request));
  set("outcomes", kOutcomes);
  set("outcomeBytes", sizeof(Outcome));
  set("opBytes", sizeof(Op));
  set("headBytes", kHeadBytes);
  set("recordHead", kRecordHead);
  set("requestLive", kRequestLive);
  set("requestIsolated", kRequestIsolated);
  set("requestShadowStack", kRequestShadowStack);
  set("requestFxrstor", kRequestFxrstor);
  set("requestGuarded", kRequestGuarded);
  set("requestLastTraced", kRequestLastTraced);
  set("traceCallBytes", sizeof(TraceCall));
  set("mostTraceCalls", kMostTraceCalls);
  set("fsaveBytes", kFsaveBytes);
  set("kvmSlots", kKvmSlots);
  set("mostKvmCalls", kMostKvmCalls);
  set("kvmCallBytes", sizeof(KvmCall));
  set("kvmShort", kKvmShort);
  set("stressBytes", sizeof(Stress));
  set("stressOnBytes", sizeof(StressOn));
  set("mostStressCpus", kMostStressCpus);
#define FIELD(type, name) set(#type "." #name, offsetof(type, name))
#define CODE(type, name, value) set(#type "." name, static_cast<size_t>(type::value))
  CODE(OpCode, "write", kWrite);
  CODE(OpCode, "and", kAnd);
  CODE(OpCode, "or", kOr);
  CODE(OpCode, "xor", kXor);
  CODE(OpCode, "fill", kFill);
  CODE(OpCode, "move", kMove);
  CODE(OpCode, "pointer", kPointer);
  CODE(OpCode, "offset", kOffset);
  CODE(OpCode, "pages", kPages);
  CODE(Region, "area", kArea);
  CODE(Region, "head", kHead);
  CODE(Region, "fsave", kFsave);
  CODE(Abi, "x86_64", kX86_64);
  CODE(Abi, "ia32-rt", kIa32Rt);
  CODE(Abi, "ia32", kIa32);
  CODE(Abi, "x32", kX32);
  CODE(Raise, "tgkill", kTgkill);
  CODE(Raise, "tgkill32", kTgkill32);
  CODE(Raise, "blocked", kBlocked);
  CODE(Raise, "timer", kTimer);
  CODE(Raise, "ipi", kIpi);
  CODE(Raise, "fake", kFake);
  CODE(Raise, "still", kStill);
  CODE(StackState, "none", kNone);
  CODE(StackState, "plain", kPlain);
  CODE(StackState, "fresh", kFresh);
  CODE(StackState, "readonly", kReadOnly);
  CODE(StackState, "unreadable", kUnreadable);
  CODE(StackState, "late", kLate);
  CODE(StackState, "closed-key", kClosedKey);
  CODE(PageState, "evicted", kEvicted);
  CODE(PageState, "readonly", kReadOnly);
  CODE(PageState, "unreadable", kUnreadable);
  CODE(PageState, "hole", kHole);
  CODE(PageState, "late", kLate);
  CODE(PageState, "contended", kContended);
  CODE(Refusal, "sigaltstack", kSigaltstack);
  CODE(Refusal, "userfaultfd", kUserfaultfd);
  CODE(Refusal, "pkey_alloc", kPkey);
  CODE(Refusal, "sibling", kSibling);
  CODE(Refusal, "timer", kTimer);
  CODE(Refusal, "other CPU", kOtherCpu);
  CODE(Refusal, "pages", kPages);
  CODE(Refusal, "fork", kFork);
  CODE(Refusal, "shadow stack", kShadowStack);
  CODE(Refusal, "PTRACE_TRACEME", kTraceMe);
  CODE(Refusal, "PTRACE_SETOPTIONS", kTraceOptions);
  CODE(Refusal, "PTRACE_CONT", kTraceContinue);
  CODE(Refusal, "wait4", kTraceWait);
  CODE(RequestKind, "probe", kProbe);
  CODE(RequestKind, "plainLoop", kPlainLoop);
  CODE(RequestKind, "switch", kSwitch);
  CODE(RequestKind, "stress", kStress);
  CODE(RequestKind, "xrstor", kXrstor);
  CODE(RequestKind, "traced", kTraced);
  CODE(RequestKind, "traceLoop", kTraceLoop);
  CODE(TraceDo, "get", kGet);
  CODE(TraceDo, "set", kSet);
  CODE(Stop, "loaded", kLoaded);
  CODE(Stop, "ended", kEnded);
  CODE(TraceBuffer, "arena", kArena);
  CODE(TraceBuffer, "null", kNull);
  CODE(TraceBuffer, "guard", kGuard);
  CODE(RequestKind, "kvm", kKvm);
  CODE(KvmDo, "open", kOpen);
  CODE(KvmDo, "close", kClose);
  CODE(KvmDo, "apiVersion", kApiVersion);
  CODE(KvmDo, "checkExtension", kCheckExtension);
  CODE(KvmDo, "createVm", kCreateVm);
  CODE(KvmDo, "createVcpu", kCreateVcpu);
  CODE(KvmDo, "getXsave", kGetXsave);
  CODE(KvmDo, "getXsave2", kGetXsave2);
  CODE(KvmDo, "setXsave", kSetXsave);
  CODE(KvmDo, "supportedCpuid", kSupportedCpuid);
  CODE(KvmDo, "setCpuid2", kSetCpuid2);
  CODE(KvmDo, "getAttribute", kGetAttribute);
  CODE(KvmDo, "getXcr0", kGetXcr0);
  CODE(KvmDo, "setXcr0", kSetXcr0);
  CODE(KvmDo, "getMsr", kGetMsr);
  CODE(KvmDo, "setMsr", kSetMsr);
  CODE(KvmDo, "getPermissions", kGetPermissions);
  CODE(KvmDo, "getGuestPermissions", kGetGuestPermissions);
  CODE(KvmDo, "requestGuestPermission", kRequestGuestPermission);
  CODE(KvmDo, "plainLoop", kPlainLoop);
  CODE(Way, "tgkill", kTgkill);
  CODE(Way, "tgkill32", kTgkill32);
  CODE(Way, "mixed", kMixed);
  CODE(Way, "spin", kSpin);
  CODE(Way, "yield", kYield);
  CODE(Loss, "registers", kRegisters);
  CODE(Loss, "signal", kSignal);
  CODE(Ending, "returned", kReturned);
  CODE(Ending, "signal", kSignal);
  CODE(Ending, "died", kDied);
  CODE(Ending, "timeout", kTimeout);
  CODE(Ending, "refused", kRefused);
  CODE(Where, "load", kLoad);
  CODE(Where, "delivery", kDelivery);
  CODE(Where, "sigreturn", kSigreturn);
  CODE(Where, "after", kAfter);
  CODE(Where, "handler", kHandler);
  CODE(Waited, "done", kDone);
  CODE(Waited, "frame", kFrame);
  CODE(Waited, "ended", kEnded);
  CODE(Waited, "timeout", kTimeout);
  CODE(Waited, "cancelled", kCancelled);
#undef CODE
  FIELD(Request, kind);
  FIELD(Request, flags);
  FIELD(Request, rfbm);
  FIELD(Request, load);
  FIELD(Request, poison);
  FIELD(Request, ops);
  FIELD(Request, opCount);
  FIELD(Request, written);
  FIELD(Request, writtenBytes);
  FIELD(Request, sent);
  FIELD(Request, sentBytes);
  FIELD(Request, after);
  FIELD(Request, sentFrom);
  FIELD(Request, count);
  FIELD(Request, bad);
  FIELD(Request, abi);
  FIELD(Request, raise);
  FIELD(Request, built);
  FIELD(Request, sibling);
  FIELD(Request, stack);
  FIELD(Request, stackBytes);
  FIELD(Request, timeoutMs);
  FIELD(Request, threads);
  FIELD(Request, stride);
  FIELD(Request, mask);
  FIELD(Outcome, ending);
  FIELD(Outcome, where);
  FIELD(Outcome, signal);
  FIELD(Outcome, siCode);
  FIELD(Outcome, siAddr);
  FIELD(Outcome, frame);
  FIELD(Outcome, fpstate);
  FIELD(Outcome, sentFpstate);
  FIELD(Outcome, sentPointer);
  FIELD(Outcome, elapsedNs);
  FIELD(Outcome, slept);
  FIELD(Outcome, served);
  FIELD(TraceCall, what);
  FIELD(TraceCall, when);
  FIELD(TraceCall, note);
  FIELD(TraceCall, buffer);
  FIELD(TraceCall, at);
  FIELD(TraceCall, room);
  FIELD(TraceCall, size);
  FIELD(TraceCall, told);
  FIELD(TraceCall, error);
  FIELD(KvmCall, what);
  FIELD(KvmCall, flags);
  FIELD(KvmCall, slot);
  FIELD(KvmCall, into);
  FIELD(KvmCall, at);
  FIELD(KvmCall, room);
  FIELD(KvmCall, argument);
  FIELD(KvmCall, value);
  FIELD(KvmCall, result);
  FIELD(KvmCall, error);
  FIELD(Stress, seed);
  FIELD(Stress, limitMs);
  FIELD(Stress, abis);
  FIELD(Stress, cpuCount);
  FIELD(Stress, lane);
  FIELD(Stress, team);
  FIELD(Stress, spoil);
  FIELD(Stress, cpus);
  FIELD(Stress, signals);
  FIELD(Stress, refused);
  FIELD(Stress, switches);
  FIELD(Stress, loss);
  FIELD(Stress, image);
  FIELD(Stress, poison);
  FIELD(Stress, abi);
  FIELD(Stress, way);
  FIELD(Stress, cpu);
  FIELD(Stress, on);
  FIELD(StressOn, rounds);
  FIELD(StressOn, signals);
  FIELD(StressOn, timed);
  FIELD(StressOn, moves);
  FIELD(StressOn, lost);
  FIELD(Op, code);
  FIELD(Op, region);
  FIELD(Op, at);
  FIELD(Op, length);
  FIELD(Op, payload);
  FIELD(Op, value);
#undef FIELD
  return out;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("Session", Session::define(env));
  exports.Set("readCpu", Napi::Function::New<readCpu>(env, "readCpu"));
  exports.Set("arena", arenaNumbers(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(sigframe, init)

}  // namespace sigframe
