#include "probe/fake.h"

#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <csignal>

#include "probe/fire.h"
#include "probe/frame.h"
#include "probe/state.h"
#include "probe/x32.h"

namespace sigframe {
namespace {

// arch/x86/include/asm/segment.h
constexpr uint16_t kUserDs = 0x2b;
constexpr uint16_t kUserCs = 0x33;
constexpr uint32_t kEflags = 0x202;  // IF, and the bit that is always set
// arch/x86/include/uapi/asm/ucontext.h: UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
constexpr unsigned long kUcFpXstate = 1;
constexpr unsigned long kUcFlags64 = 7;

stack_t alternateStack;

/** struct sigcontext_32, as far as it has to be filled; its segments are u16 with a u16 each above. */
struct Sigcontext32 {
  uint32_t gs, fs, es, ds, di, si, bp, sp, bx, dx, cx, ax, trapno, err, ip, cs, flags, spAtSignal, ss, fpstate, oldmask,
      cr2;
};
static_assert(sizeof(Sigcontext32) == 88);
constexpr size_t kSigcontextIa32Rt = 144 + 20;  // in struct rt_sigframe_ia32: uc, then uc_mcontext in it
constexpr size_t kUcontextIa32Rt = 144;
constexpr size_t kSigcontextIa32 = 8;
constexpr size_t kSigcontextX32 = 32;  // in struct rt_sigframe_x32

struct CompatStack {
  uint32_t sp, flags, size;
};

template <typename T>
uint32_t low(const T* pointer) {
  return static_cast<uint32_t>(reinterpret_cast<uintptr_t>(pointer));
}

/** struct sigcontext_64, which x32 frames have too. */
void fillRegisters64(uint8_t* head, greg_t* registers) {
  registers[REG_RIP] = reinterpret_cast<greg_t>(sigframe_fire64_raised);
  registers[REG_RSP] = reinterpret_cast<greg_t>(head);
  registers[REG_RBX] = reinterpret_cast<greg_t>(&sigframe_fire);
  registers[REG_EFL] = kEflags;
  registers[REG_CSGSFS] = kUserCs | static_cast<greg_t>(kUserDs) << 48;  // the upper 16 bits are SS
}

void fill64(uint8_t* head) {
  auto* context = reinterpret_cast<ucontext_t*>(head + 8);
  context->uc_flags = kUcFlags64;
  context->uc_stack = alternateStack;
  fillRegisters64(head, context->uc_mcontext.gregs);
}

CompatStack compatStack() {
  return {low(alternateStack.ss_sp), static_cast<uint32_t>(alternateStack.ss_flags),
          static_cast<uint32_t>(alternateStack.ss_size)};
}

void fillX32(uint8_t* head) {
  const auto flags = static_cast<uint32_t>(kUcFlags64);
  const CompatStack stack = compatStack();
  copyBytes(head + 8, &flags, sizeof flags);
  copyBytes(head + 16, &stack, sizeof stack);
  fillRegisters64(head, reinterpret_cast<greg_t*>(head + kSigcontextX32));
}

void fill32(uint8_t* head, size_t at) {
  Sigcontext32 context{};
  context.ds = context.es = context.ss = kUserDs;
  context.cs = kUserCs;
  context.bx = low(&sigframe_fire);
  context.sp = low(head);
  context.ip = low(sigframe_fire64_raised);
  context.flags = kEflags;
  copyBytes(head + at, &context, sizeof context);
}

void fill32Rt(uint8_t* head) {
  fill32(head, kSigcontextIa32Rt);
  const auto flags = static_cast<uint32_t>(kUcFpXstate);
  copyBytes(head + kUcontextIa32Rt, &flags, sizeof flags);
  const CompatStack stack = compatStack();
  copyBytes(head + kUcontextIa32Rt + 8, &stack, sizeof stack);
}

/** What the kernel makes of a stack pointer: 16-byte aligned as at a function's entry. */
uintptr_t alignHead(Abi abi, uintptr_t at) {
  constexpr uintptr_t kAlign = 16;
  return !isIa32(abi) ? at / kAlign * kAlign - 8 : (at + 4) / kAlign * kAlign - 4;
}

}  // namespace

void keepAlternateStack() { sigaltstack(nullptr, &alternateStack); }

void prepareFake() {
  const Request& request = *g.request;
  Fire& fire = sigframe_fire;
  const FrameShape& shape = shapeOf(request.abi);
  if (request.writtenBytes > g.control->stackBytes / 2) quit(82);
  const uintptr_t area = (fire.stack - request.writtenBytes) / 64 * 64;
  const uintptr_t head = alignHead(request.abi, area - shape.fsaveBytes - shape.frameBytes);
  Frame frame{reinterpret_cast<uint8_t*>(head), nullptr, &shape};
  fillBytes(frame.head, 0, area - head);
  if (request.abi == Abi::kX86_64) fill64(frame.head);
  if (request.abi == Abi::kX32) fillX32(frame.head);
  if (request.abi == Abi::kIa32Rt) fill32Rt(frame.head);
  if (request.abi == Abi::kIa32) fill32(frame.head, kSigcontextIa32);
  frame.pointTo(reinterpret_cast<uint8_t*>(area));
  copyBytes(frame.fpstate - shape.fsaveBytes, g.arena + request.built - shape.fsaveBytes,
            shape.fsaveBytes + request.writtenBytes);
  takeFrame(frame);

  // As a restorer leaves the stack pointer; what the registers hold then is the poison.
  fire.load = fire.poison;
  fire.how = isIa32(request.abi) ? How::kInt80 : How::kSyscall;
  if (!isIa32(request.abi)) {
    fire.number = request.abi == Abi::kX32 ? kX32RtSigreturn : SYS_rt_sigreturn;
    fire.stack = head + 8;
  } else {
    fire.number = request.abi == Abi::kIa32Rt ? 173 : 119;  // asm/unistd_32.h: rt_sigreturn, sigreturn
    fire.stack = head + (request.abi == Abi::kIa32Rt ? 4 : 8);
  }
}

}  // namespace sigframe
