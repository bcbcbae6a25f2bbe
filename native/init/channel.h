// The data channel: lines from here, and what the command writes to its descriptor 3, never one within the other.
#pragma once

#include <cstddef>

#include "init/line.h"

namespace sigframe::init {

class Channel {
 public:
  /** To a descriptor that does not block, or a file; `prefix` comes before every line. */
  Channel(int fd, const char* prefix) : fd_(fd), prefix_(prefix) {}

  /** A line of ours. One of the command's that has no end yet is ended before. */
  void say(const Line& line);
  /** What the command wrote, any part of it: lines are as long as they are. */
  void relay(const char* bytes, size_t count);
  void endLine();
  bool isBetweenLines() const { return !inLine_; }
  int fd() const { return fd_; }

 private:
  void write(const char* bytes, size_t count);

  int fd_;
  const char* prefix_;
  bool inLine_ = false;
  bool stalled_ = false;
};

}  // namespace sigframe::init
