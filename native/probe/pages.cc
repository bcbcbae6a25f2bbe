// What becomes of the pages of the second buffer between the edit and the return.
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "probe/fire.h"
#include "probe/frame.h"
#include "probe/pages.h"
#include "probe/sibling.h"
#include "probe/state.h"
#include "probe/userfault.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace sigframe {
namespace {

struct Pages {
  uint8_t* start;
  size_t bytes;
};

constexpr int kMostContended = 8;
Pages contended[kMostContended];
volatile int contendedCount = 0;
constexpr uint32_t kMostEvictions = 100000000;  // the fork that it happens in ends long before

/** The pages that hold the operation's bytes. */
Pages pagesOf(const Op& op, const Frame& frame) {
  const Control& control = *g.control;
  const auto first = reinterpret_cast<uintptr_t>(frame.fpstate + op.at) / kPage * kPage;
  const auto end = (reinterpret_cast<uintptr_t>(frame.fpstate + op.at) + op.length + kPage - 1) / kPage * kPage;
  const auto spare = reinterpret_cast<uintptr_t>(g.arena + control.spare);
  if (op.length == 0 || first < spare - kPage || end > spare + control.spareBytes) quit(84);
  return Pages{reinterpret_cast<uint8_t*>(first), end - first};
}

/** Maps an empty file there: a page that is behind its end cannot be had. */
void punchHole(const Pages& pages) {
  long file = syscall(SYS_memfd_create, "sigframe-hole", MFD_NOEXEC_SEAL);
  if (file < 0 && errno == EINVAL) file = syscall(SYS_memfd_create, "sigframe-hole", 0);
  if (file < 0) refuse(Refusal::kPages, errno);
  const int fd = static_cast<int>(file);
  void* at = mmap(pages.start, pages.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  if (at == MAP_FAILED) refuse(Refusal::kPages, errno);
}

void evict(const Pages& pages) {
  if (madvise(pages.start, pages.bytes, MADV_DONTNEED) != 0) refuse(Refusal::kPages, errno);
}

void protect(const Pages& pages, int protection) {
  if (mprotect(pages.start, pages.bytes, protection) != 0) refuse(Refusal::kPages, errno);
}

/** The sibling of a contended page: what it evicts, the next touch brings back. */
void evictOverAndOver() {
  for (uint32_t i = 0; i < kMostEvictions; i++) {
    const int count = contendedCount;
    for (int j = 0; j < count; j++) madvise(contended[j].start, contended[j].bytes, MADV_DONTNEED);
    if (count == 0) sched_yield();
  }
}

void contend(const Pages& pages) {
  const int count = contendedCount;
  if (count == kMostContended) refuse(Refusal::kPages, ENOSPC);
  contended[count] = pages;
  contendedCount = count + 1;
}

}  // namespace

void preparePages() {
  bool contends = false;
  const Op* op = reinterpret_cast<const Op*>(g.arena + g.request->ops);
  for (const Op* end = op + g.request->opCount; op != end; ++op) {
    if (op->code != OpCode::kPages) continue;
    if (op->value == static_cast<uint64_t>(PageState::kLate)) startServer();
    if (op->value == static_cast<uint64_t>(PageState::kContended)) contends = true;
  }
  if (contends) startSibling(Beside::kOtherCpu, evictOverAndOver);
}

void settlePages() { contendedCount = 0; }

void applyPageOps(const Frame& frame) {
  const Op* op = reinterpret_cast<const Op*>(g.arena + g.request->ops);
  for (const Op* end = op + g.request->opCount; op != end; ++op) {
    if (op->code != OpCode::kPages) continue;
    const Pages pages = pagesOf(*op, frame);
    switch (static_cast<PageState>(op->value)) {
      case PageState::kEvicted: evict(pages); break;
      case PageState::kReadOnly: protect(pages, PROT_READ); break;
      case PageState::kUnreadable: protect(pages, PROT_NONE); break;
      case PageState::kHole: punchHole(pages); break;
      case PageState::kLate: serveLate(pages.start, pages.bytes, pages.start); break;
      case PageState::kContended: contend(pages); break;
      default: quit(84);
    }
  }
}

}  // namespace sigframe
