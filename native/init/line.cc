#include "init/line.h"

namespace sigframe::init {

Line::Line(const char* kind) {
  for (; *kind != 0; kind++) put(*kind);
  bytes_[length_] = '\n';
}

Line& Line::text(const char* words) {
  put(' ');
  for (; *words != 0; words++) put(*words >= ' ' && *words <= '~' ? *words : '?');
  return *this;
}

Line& Line::word(const char* name) {
  put(' ');
  if (*name == 0) put('-');
  for (; *name != 0; name++) put(*name == ' ' ? '_' : *name > ' ' && *name <= '~' ? *name : '?');
  return *this;
}

Line& Line::number(long value) {
  char digits[24];
  size_t count = 0;
  unsigned long left = value < 0 ? 0UL - static_cast<unsigned long>(value) : static_cast<unsigned long>(value);
  do digits[count++] = static_cast<char>('0' + left % 10);
  while ((left /= 10) != 0);
  if (value < 0) digits[count++] = '-';
  put(' ');
  while (count > 0) put(digits[--count]);
  return *this;
}

void Line::put(char c) {
  if (length_ == kMost) return;
  bytes_[length_++] = c;
  bytes_[length_] = '\n';
}

}  // namespace sigframe::init
