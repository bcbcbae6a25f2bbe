// Pages that userfaultfd serves late: whoever touches them, the kernel in the midst of a frame too, sleeps
// until a sibling with known values in its registers has filled them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sigframe {

/** Replaces the pages at `start` by ones that are served on their first touch, with `contents` or zeros. */
void serveLate(uint8_t* start, size_t bytes, const uint8_t* contents);

/** Starts the sibling that serves. Before the probe: the handler cannot start threads. */
void startServer();

}  // namespace sigframe
