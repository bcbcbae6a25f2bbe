// One line for the data channel.
#pragma once

#include <cstddef>

namespace sigframe::init {

/** Words with one space between them, then a newline. What is longer than the line is cut off. */
class Line {
 public:
  explicit Line(const char* kind);
  /** Printable ASCII as it is, spaces too; all else becomes '?', so that a line stays one. */
  Line& text(const char* words);
  /** A name that others chose (a task's): its spaces become '_', an empty one '-'. */
  Line& word(const char* name);
  Line& number(long value);

  /** With its newline. */
  const char* bytes() const { return bytes_; }
  size_t length() const { return length_ + 1; }

 private:
  void put(char c);

  static constexpr size_t kMost = 1000;
  char bytes_[kMost + 1];
  size_t length_ = 0;
};

}  // namespace sigframe::init
