// The x32 ABI: 64-bit code whose signal frames have 32-bit pointers.
#pragma once

#include "shared/arena.h"

namespace sigframe {

// asm/unistd_x32.h: __X32_SYSCALL_BIT and the numbers that x32 has for itself.
constexpr uint32_t kX32Bit = 0x40000000;
constexpr uint32_t kX32RtSigaction = kX32Bit | 512;
constexpr uint32_t kX32RtSigreturn = kX32Bit | 513;

/** Whether this kernel has x32 system calls; asked in a fork, since a refusal may be deadly. Returns errno or 0. */
int askX32();

/** Registers a handler for x32 frames, with these signals blocked. Returns errno or 0. */
int installX32(int signal, void (*handler)(int), unsigned long flags, uint64_t mask = 0);

}  // namespace sigframe
