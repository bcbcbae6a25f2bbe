#include "probe/userfault.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "probe/fire.h"
#include "probe/sibling.h"
#include "probe/state.h"

#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif

namespace sigframe {
namespace {

constexpr long kBeforeServing = 20000;  // ns
constexpr int kMostRanges = 2;          // the stack at delivery, the second buffer at sigreturn

struct Range {
  uint64_t start;
  uint64_t bytes;
  const uint8_t* contents;
};
Range ranges[kMostRanges];
int rangeCount = 0;
int fd = -1;

int openUserfaultfd() {
  // Faults of the kernel's own are what this is about: /dev/userfaultfd first, which an administrator can open to us.
  const int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
  if (device >= 0) {
    const int made = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
    close(device);
    if (made >= 0) return made;
  }
  return static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
}

void serveFaults() {
  for (;;) {
    uffd_msg message;
    const ssize_t length = read(fd, &message, sizeof message);
    if (length != static_cast<ssize_t>(sizeof message)) return;
    if (message.event != UFFD_EVENT_PAGEFAULT) continue;
    const uint64_t page = message.arg.pagefault.address & ~uint64_t{kPage - 1};
    // What sleeps there has given the CPU up: other registers are loaded now.
    pauseBriefly(kBeforeServing);
    loadSibling();
    g.outcome->served++;
    for (const Range& range : ranges) {
      if (page < range.start || page >= range.start + range.bytes) continue;
      uffdio_copy copy{};
      copy.dst = page;
      copy.src = reinterpret_cast<uint64_t>(range.contents) + (page - range.start);
      copy.len = kPage;
      ioctl(fd, UFFDIO_COPY, &copy);
    }
  }
}

}  // namespace

void serveLate(uint8_t* start, size_t bytes, const uint8_t* contents) {
  if (rangeCount == kMostRanges) refuse(Refusal::kPages, ENOSPC);
  // A copy: the pages themselves go away. Zeros where there is nothing to copy.
  void* copy = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (copy == MAP_FAILED) refuse(Refusal::kPages, errno);
  if (contents != nullptr) copyBytes(copy, contents, bytes);
  void* at = mmap(start, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (at == MAP_FAILED) refuse(Refusal::kPages, errno);
  uffdio_register request{};
  request.range.start = reinterpret_cast<uint64_t>(start);
  request.range.len = bytes;
  request.mode = UFFDIO_REGISTER_MODE_MISSING;
  ranges[rangeCount] = Range{request.range.start, bytes, static_cast<const uint8_t*>(copy)};
  rangeCount++;
  if (ioctl(fd, UFFDIO_REGISTER, &request) != 0) refuse(Refusal::kUserfaultfd, errno);
}

void startServer() {
  if (fd >= 0) return;
  fd = openUserfaultfd();
  if (fd < 0) refuse(Refusal::kUserfaultfd, errno);
  uffdio_api api{};
  api.api = UFFD_API;
  if (ioctl(fd, UFFDIO_API, &api) != 0) refuse(Refusal::kUserfaultfd, errno);
  startSibling(Beside::kSameCpu, serveFaults);
}

}  // namespace sigframe
