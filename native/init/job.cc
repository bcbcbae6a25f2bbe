#include "init/job.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sigframe::init {
namespace {

char jobText[kMostJobBytes + 1];

const char* addWord(const char* word, const char** words, size_t& count) {
  if (count == kMostWords) return "more than 255 of these";
  words[count++] = word;
  return nullptr;
}

const char* readSeconds(const char* digits, long& seconds, const char* limit) {
  if (seconds != 0) return "a second number of seconds";
  long value = 0;
  const char* at = digits;
  for (; *at >= '0' && *at <= '9' && value <= kMostSeconds; at++) value = value * 10 + (*at - '0');
  if (*at != 0 || value < 1 || value > kMostSeconds) return limit;
  seconds = value;
  return nullptr;
}

const char* parseItem(char* line, Job& job) {
  char* value = strchr(line, ' ');
  if (value == nullptr) return "no space behind the item's name";
  *value++ = 0;
  if (strcmp(line, "seconds") == 0) {
    return readSeconds(value, job.seconds, "seconds is to be an integer from 1 to 604800");
  }
  if (strcmp(line, "quiet") == 0) {
    return readSeconds(value, job.quiet, "quiet is to be an integer from 1 to 604800");
  }
  if (strcmp(line, "arg") == 0) return addWord(value, job.args, job.argCount);
  if (strcmp(line, "env") == 0) {
    const char* equals = strchr(value, '=');
    if (equals == nullptr || equals == value) return "env is to be NAME=VALUE";
    return addWord(value, job.env, job.envCount);
  }
  if (strcmp(line, "cwd") == 0) {
    if (job.cwd != nullptr) return "a second cwd";
    if (value[0] != '/') return "cwd is to be an absolute path";
    job.cwd = value;
    return nullptr;
  }
  return "no such item: there are seconds, quiet, arg, env, cwd";
}

}  // namespace

BadJob parseJob(char* text, size_t size, Job& job) {
  if (memchr(text, 0, size) != nullptr) return {"a NUL byte", 0};
  text[size] = 0;
  long number = 0;
  for (char* line = text; line != nullptr && *line != 0;) {
    number++;
    char* end = strchr(line, '\n');
    if (end != nullptr) *end++ = 0;
    if (*line != 0) {
      if (const char* why = parseItem(line, job)) return {why, number};
    }
    line = end;
  }
  if (job.argCount == 0) return {"no arg: nothing to run", 0};
  if (job.args[0][0] != '/') return {"the first arg is to be an absolute path", 0};
  if (job.seconds == 0) return {"no seconds: no limit of time", 0};
  if (job.quiet == 0) job.quiet = job.seconds;
  if (job.cwd == nullptr) job.cwd = "/";
  return {};
}

BadJob readJob(const char* path, Job& job) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {strerror(errno), 0};
  size_t size = 0;
  BadJob problem;
  while (problem.why == nullptr) {
    const ssize_t got = read(fd, jobText + size, sizeof jobText - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) problem.why = strerror(errno);
    if (got <= 0) break;
    size += static_cast<size_t>(got);
    if (size == sizeof jobText) problem.why = "larger than 64 KiB";
  }
  close(fd);
  return problem.why != nullptr ? problem : parseJob(jobText, size, job);
}

}  // namespace sigframe::init
