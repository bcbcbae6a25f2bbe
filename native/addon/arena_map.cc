#include "addon/arena_map.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace sigframe {
namespace {

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

size_t pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

/** Since Linux 6.3 a memfd says whether it may be executed: some hosts insist, all others log that it did not. */
int createMemfd() {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  const int fd = memfd_create("sigframe-arena", kFlags | MFD_NOEXEC_SEAL);
  return fd < 0 && errno == EINVAL ? memfd_create("sigframe-arena", kFlags) : fd;
}

}  // namespace

std::shared_ptr<ArenaMap> ArenaMap::create(const ArenaShape& shape, const char** step) {
  const size_t stack = kFirstRegion;
  const size_t spare = stack + pages(shape.stackBytes) + kPage;
  const size_t data = spare + pages(shape.spareBytes) + kGuardBytes;
  const size_t bytes = data + pages(shape.dataBytes);

  *step = "memfd_create";
  const int fd = createMemfd();
  if (fd < 0) return nullptr;
  *step = "ftruncate";
  void* at = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0) {
    // Sealed: whatever the probe process does to the file, no access of Node's can end in SIGBUS.
    *step = "fcntl(F_ADD_SEALS)";
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
      *step = "mmap";
      at = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
  }
  if (at == MAP_FAILED) {
    const int error = errno;
    close(fd);
    errno = error;
    return nullptr;
  }
  auto* base = static_cast<uint8_t*>(at);
  Control& control = *new (base) Control{};
  control.magic = kArenaMagic;
  control.version = kArenaVersion;
  control.bytes = bytes;
  control.stack = static_cast<uint32_t>(stack);
  control.stackBytes = static_cast<uint32_t>(pages(shape.stackBytes));
  control.headroom = shape.headroom;
  control.spare = static_cast<uint32_t>(spare);
  control.spareBytes = static_cast<uint32_t>(pages(shape.spareBytes));
  control.data = static_cast<uint32_t>(data);
  control.dataBytes = static_cast<uint32_t>(pages(shape.dataBytes));
  control.permissions = shape.permissions;
  return std::shared_ptr<ArenaMap>(new ArenaMap(base, bytes, fd));
}

ArenaMap::~ArenaMap() {
  closeFd();
  munmap(base_, bytes_);
}

void ArenaMap::closeFd() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

}  // namespace sigframe
