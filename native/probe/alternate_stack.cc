#include "probe/alternate_stack.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "probe/actions.h"
#include "probe/fire.h"
#include "probe/state.h"
#include "probe/userfault.h"

namespace sigframe {
namespace {

constexpr int kFirstKey = 1;

void replace(uint8_t* start, size_t bytes, int protection) {
  void* at = mmap(start, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (at == MAP_FAILED) refuse(Refusal::kPages, errno);
}

void closeByKey(uint8_t* start, size_t bytes) {
  const long key = syscall(SYS_pkey_alloc, 0, 0);
  if (key != kFirstKey) refuse(Refusal::kPkey, key < 0 ? errno : EBUSY);
  if (syscall(SYS_pkey_mprotect, start, bytes, PROT_READ | PROT_WRITE, key) != 0) refuse(Refusal::kPkey, errno);
  // The probe reads the frame from its handler, where the kernel has closed all keys but the first.
  sigframe_fire.openKeys = 1;
}

}  // namespace

void prepareAlternateStack() {
  const Request& request = *g.request;
  const Control& control = *g.control;
  Fire& fire = sigframe_fire;
  // Its end is where frames begin otherwise; pages from there down are its own.
  uint8_t* const end = g.arena + control.stack + control.stackBytes - control.headroom;
  const size_t whole = (request.stackBytes + kPage - 1) / kPage * kPage;
  if (whole > control.stackBytes - control.headroom) quit(84);
  uint8_t* const pages = end - whole;
  switch (request.stack) {
    case StackState::kFresh: replace(pages, whole, PROT_READ | PROT_WRITE); break;
    case StackState::kReadOnly: replace(pages, whole, PROT_READ); break;
    case StackState::kUnreadable: replace(pages, whole, PROT_NONE); break;
    case StackState::kLate:
      startServer();
      serveLate(pages, whole, nullptr);
      break;
    case StackState::kClosedKey: closeByKey(pages, whole); break;
    default: break;
  }
  // The thread itself, and the kernel's answer to a frame that cannot be delivered, need another stack.
  void* own = mmap(nullptr, control.stackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  if (own == MAP_FAILED) refuse(Refusal::kPages, errno);
  fire.stack = reinterpret_cast<uint64_t>(own) + control.stackBytes - kPage;
  stack_t stack{};
  stack.ss_sp = end - request.stackBytes;
  stack.ss_size = request.stackBytes;
  if (sigaltstack(&stack, nullptr) != 0) refuse(Refusal::kSigaltstack, errno);
  if (int error = installFaultActions(0)) refuse(Refusal::kSigaltstack, error);
  if (int error = installProbeActions(SA_ONSTACK)) refuse(Refusal::kSigaltstack, error);
}

}  // namespace sigframe
