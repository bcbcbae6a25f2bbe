// Another thread of the probe process, with known values in its registers: it raises, serves page faults or
// takes pages away while the probe is under way. In throw-away forks only, which end with it.
#pragma once

#include "shared/arena.h"

namespace sigframe {

/** Where a sibling runs: on the CPU of the thread that probes, or on another one. */
enum class Beside : uint32_t { kSameCpu, kOtherCpu };

/** Starts a thread that runs `main`. Ends the probe where that cannot be. */
void startSibling(Beside where, void (*main)());

/** Gets ready for how the request's signal is to come: siblings, timers, what `sigframe_fire` does. */
void prepareRaise(Raise raise);

/** Loads the request's image for siblings into the registers of this thread. */
void loadSibling();

/** Gives up the CPU for some microseconds. */
void pauseBriefly(long nanoseconds);

}  // namespace sigframe
