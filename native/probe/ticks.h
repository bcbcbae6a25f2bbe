// Bounds for waits in system calls: a timer interrupts them now and then, and who waits looks how often it did.
#pragma once

#include <cstdint>

namespace sigframe {

/** Starts the timer; what is waited for may take so long, or some milliseconds. Without a timer Node's watchdog is the bound. */
void startTicks(uint32_t milliseconds);

/** From now on, anew. */
void restartTicks();

/** Whether there is time left. */
bool ticksLeft();

void endTicks();

}  // namespace sigframe
