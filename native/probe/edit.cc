// Edits as data: the closed list of operations of shared/arena.h, executed in the signal handler.
#include "probe/fire.h"
#include "probe/frame.h"
#include "probe/state.h"

namespace sigframe {
namespace {

template <typename Word>
void combine(uint8_t* at, OpCode code, uint64_t value) {
  Word word;
  __builtin_memcpy(&word, at, sizeof word);
  if (code == OpCode::kAnd) word &= static_cast<Word>(value);
  if (code == OpCode::kOr) word |= static_cast<Word>(value);
  if (code == OpCode::kXor) word ^= static_cast<Word>(value);
  __builtin_memcpy(at, &word, sizeof word);
}

/** Where the bytes of an operation lie, all of them within what it may change. */
uint8_t* locate(const Op& op, const Frame& frame, const uint8_t* limit) {
  switch (op.region) {
    case Region::kArea:
      if (uint64_t{op.at} + op.length > static_cast<uint64_t>(limit - frame.fpstate)) break;
      return frame.fpstate + op.at;
    case Region::kFsave:
      if (uint64_t{op.at} + op.length > frame.shape->fsaveBytes) break;
      return frame.fpstate - frame.shape->fsaveBytes + op.at;
    case Region::kHead:
      if (uint8_t* at = frame.inHead(op.at, op.length)) return at;
      break;
  }
  quit(84);
}

}  // namespace

void applyOps(Frame* frame) {
  const Control& control = *g.control;
  uint8_t* const spare = g.arena + control.spare;
  // Where the edited bytes may lie: on the stack first, in the spare buffer once moved.
  uint8_t* limit = g.arena + control.stack + control.stackBytes;
  const Op* op = reinterpret_cast<const Op*>(g.arena + g.request->ops);
  for (const Op* end = op + g.request->opCount; op != end; ++op) {
    switch (op->code) {
      case OpCode::kWrite:
        if (!inArena(op->payload, op->length)) quit(84);
        copyBytes(locate(*op, *frame, limit), g.arena + op->payload, op->length);
        break;
      case OpCode::kAnd:
      case OpCode::kOr:
      case OpCode::kXor: {
        uint8_t* at = locate(*op, *frame, limit);
        if (op->length == 8) combine<uint64_t>(at, op->code, op->value);
        if (op->length == 4) combine<uint32_t>(at, op->code, op->value);
        if (op->length == 2) combine<uint16_t>(at, op->code, op->value);
        break;
      }
      case OpCode::kFill:
        fillBytes(locate(*op, *frame, limit), static_cast<uint8_t>(op->value), op->length);
        break;
      case OpCode::kMove: {
        const auto room = static_cast<uint64_t>(limit - frame->fpstate);
        if (op->length > room || uint64_t{op->at} + op->length > control.spareBytes) quit(84);
        const uint32_t before = frame->shape->fsaveBytes;
        copyBytes(spare + op->at - before, frame->fpstate - before, before + op->length);
        limit = spare + control.spareBytes;
        frame->pointTo(spare + op->at);
        break;
      }
      case OpCode::kPointer:
        frame->setPointer(op->value);
        break;
      case OpCode::kOffset:
        frame->setPointer(frame->pointer() + op->value);
        break;
      case OpCode::kPages:
        if (!g.isolated) quit(84);
        break;
      default:
        quit(84);
    }
  }
}

}  // namespace sigframe
