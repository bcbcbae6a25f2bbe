// arch_prctl(2) without glibc: where its wrapper must not run, or there is none.
#pragma once

#include <sys/syscall.h>

#include <cstdint>

namespace sigframe {

/** Inlined wherever it is called: with a new shadow stack nobody could return from it. The kernel's negative errno. */
__attribute__((always_inline)) inline long archPrctl(long code, uint64_t argument) {
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "0"(static_cast<long>(SYS_arch_prctl)), "D"(code), "S"(argument)
               : "rcx", "r11", "memory");
  return result;
}

}  // namespace sigframe
