// 32-bit system calls of the 64-bit probe process: what makes the kernel write 32-bit frames.
#pragma once

#include "shared/arena.h"

namespace sigframe {

/** Whether this kernel takes int $0x80; asked in a fork, since a refusal may be deadly. Returns errno or 0. */
int askInt80();

/** Registers a handler, entered in 32-bit code, with these signals blocked. Returns errno or 0. */
int installIa32(int signal, void (*handler)(int), unsigned long flags, uint64_t mask = 0);

/** The return from a 32-bit frame reloads FS on some kernels, and with it goes the thread's own storage. */
void keepThreadPointer();
void restoreThreadPointer();
/** The same without asking the selector: 6.1 under Bochs leaves it null and the base cleared. */
void setThreadPointer();

}  // namespace sigframe
