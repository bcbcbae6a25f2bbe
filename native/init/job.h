// What is to be run: the file /job, one item a line.
//
//   seconds N    how long the command may take
//   quiet N      how long it may say nothing on the channel; as long as it may take where there is none
//   arg WORD     its arguments, in order; the first is the program's path
//   env K=V      its environment, and nothing else
//   cwd DIR      where it runs; the root where there is none
#pragma once

#include <cstddef>

namespace sigframe::init {

constexpr size_t kMostWords = 255;
constexpr size_t kMostJobBytes = 64 * 1024;
constexpr long kMostSeconds = 7 * 24 * 3600;

struct Job {
  long seconds = 0;
  long quiet = 0;
  const char* cwd = nullptr;
  size_t argCount = 0;
  size_t envCount = 0;
  const char* args[kMostWords + 1] = {};
  const char* env[kMostWords + 1] = {};
};

struct BadJob {
  /** Null: it is well. */
  const char* why = nullptr;
  /** 0: of the file as a whole. */
  long line = 0;
};

/** Splits `text` in place, whose byte at `size` it overwrites; the job's words point into it. */
BadJob parseJob(char* text, size_t size, Job& job);

/** Reads the file into memory that stays. The reason may be an errno's. */
BadJob readJob(const char* path, Job& job);

}  // namespace sigframe::init
