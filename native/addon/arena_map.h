// The arena's mapping on Node's side. Shared ownership: the JavaScript ArrayBuffer over it, the session
// and a wait under way on another thread may each outlive the others.
#pragma once

#include <memory>

#include "shared/arena.h"

namespace sigframe {

/** Sizes that TypeScript chooses; all are rounded up to pages. */
struct ArenaShape {
  uint32_t stackBytes;
  uint32_t headroom;
  uint32_t spareBytes;
  uint32_t dataBytes;
  uint64_t permissions;
};

class ArenaMap {
 public:
  /** Null on failure, with errno set and `step` naming the call that failed. */
  static std::shared_ptr<ArenaMap> create(const ArenaShape& shape, const char** step);
  ~ArenaMap();
  ArenaMap(const ArenaMap&) = delete;
  ArenaMap& operator=(const ArenaMap&) = delete;

  Control& control() const { return *reinterpret_cast<Control*>(base_); }
  uint8_t* base() const { return base_; }
  size_t bytes() const { return bytes_; }
  int fd() const { return fd_; }
  /** The descriptor is needed only until the probe process has it. */
  void closeFd();

 private:
  ArenaMap(uint8_t* base, size_t bytes, int fd) : base_(base), bytes_(bytes), fd_(fd) {}
  uint8_t* base_;
  size_t bytes_;
  int fd_;
};

}  // namespace sigframe
