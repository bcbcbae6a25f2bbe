#include "init/channel.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sigframe::init {
namespace {

// A port that takes nothing for so long takes nothing any more. What follows is lost, but the machine still ends.
constexpr int kStalledMs = 10000;

}  // namespace

void Channel::say(const Line& line) {
  endLine();
  relay(line.bytes(), line.length());
}

void Channel::relay(const char* bytes, size_t count) {
  while (count > 0) {
    if (!inLine_) write(prefix_, strlen(prefix_));
    size_t length = count;
    inLine_ = true;
    // With a prefix line by line, else as it comes.
    if (prefix_[0] != 0) {
      if (const void* end = memchr(bytes, '\n', count)) length = static_cast<size_t>(static_cast<const char*>(end) - bytes) + 1;
    }
    write(bytes, length);
    inLine_ = bytes[length - 1] != '\n';
    bytes += length;
    count -= length;
  }
}

void Channel::endLine() {
  if (inLine_) write("\n", 1);
  inLine_ = false;
}

void Channel::write(const char* bytes, size_t count) {
  while (count > 0 && !stalled_) {
    const ssize_t written = ::write(fd_, bytes, count);
    if (written > 0) {
      bytes += written;
      count -= static_cast<size_t>(written);
    } else if (written < 0 && errno == EAGAIN) {
      pollfd poller{fd_, POLLOUT, 0};
      if (poll(&poller, 1, kStalledMs) == 0) stalled_ = true;
    } else if (written == 0 || errno != EINTR) {
      stalled_ = true;
    }
  }
}

}  // namespace sigframe::init
