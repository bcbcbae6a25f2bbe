// A signal frame in the hands of the probe process: recorded, edited, recorded again.
#pragma once

#include <cstdint>

#include "probe/frame_shape.h"

namespace sigframe {

struct Frame {
  uint8_t* head;
  uint8_t* fpstate;  // the XSAVE area; a 32-bit frame's fsave header lies right below it
  const FrameShape* shape;

  /** The fpstate pointer: of the area, or of the fsave header before it. */
  uint64_t pointer() const {
    uint64_t value = 0;
    __builtin_memcpy(&value, head + shape->pointerAt, shape->pointerBytes);
    return value;
  }
  void setPointer(uint64_t value) { __builtin_memcpy(head + shape->pointerAt, &value, shape->pointerBytes); }
  void pointTo(uint8_t* area) {
    fpstate = area;
    setPointer(reinterpret_cast<uint64_t>(area) - shape->fsaveBytes);
  }
  /** Where [at, at + length) of the recorded head really lies; null where it is not within one part. */
  uint8_t* inHead(uint32_t at, uint32_t length) const {
    if (uint64_t{at} + length > shape->headBytes) return nullptr;
    if (shape->headBytes != kHeadBytesIa32 || at + length <= kIa32FirstPart) return head + at;
    return at >= kIa32FirstPart ? head + kIa32SecondPart + (at - kIa32FirstPart) : nullptr;
  }
};

/** Records the frame as it came, edits it, records it as it goes. */
void takeFrame(Frame frame);

/** Executes the request's operations on the frame, all but what becomes of pages. */
void applyOps(Frame* frame);

/** Does what is left: changes the pages that the frame lies in. Isolated only. */
void applyPageOps(const Frame& frame);

}  // namespace sigframe
