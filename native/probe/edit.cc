// Edits as data: the closed list of operations of shared/arena.h, executed in the signal handler.
#include "probe/fire.h"
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

}  // namespace

uint8_t* applyOps(ucontext_t* context, uint8_t* fpstate) {
  const Control& control = *g.control;
  uint8_t* const spare = g.arena + control.spare;
  // Where the edited bytes may lie: on the stack first, in the spare buffer once moved.
  uint8_t* limit = g.arena + control.stack + control.stackBytes;
  const Op* op = reinterpret_cast<const Op*>(g.arena + g.request->ops);
  for (const Op* end = op + g.request->opCount; op != end; ++op) {
    const uint64_t room = static_cast<uint64_t>(limit - fpstate);
    const bool inside = uint64_t{op->at} + op->length <= room;
    switch (op->code) {
      case OpCode::kWrite:
        if (!inside || !inArena(op->payload, op->length)) quit(84);
        copyBytes(fpstate + op->at, g.arena + op->payload, op->length);
        break;
      case OpCode::kAnd:
      case OpCode::kOr:
      case OpCode::kXor:
        if (!inside) quit(84);
        if (op->length == 8) combine<uint64_t>(fpstate + op->at, op->code, op->value);
        if (op->length == 4) combine<uint32_t>(fpstate + op->at, op->code, op->value);
        break;
      case OpCode::kFill:
        if (!inside) quit(84);
        fillBytes(fpstate + op->at, static_cast<uint8_t>(op->value), op->length);
        break;
      case OpCode::kMove: {
        if (op->length > room || uint64_t{op->at} + op->length > control.spareBytes) quit(84);
        copyBytes(spare + op->at, fpstate, op->length);
        fpstate = spare + op->at;
        limit = spare + control.spareBytes;
        context->uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(fpstate);
        break;
      }
      case OpCode::kPointer:
        context->uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(op->value);
        break;
      case OpCode::kOffset:
        context->uc_mcontext.fpregs =
            reinterpret_cast<fpregset_t>(reinterpret_cast<uint64_t>(context->uc_mcontext.fpregs) + op->value);
        break;
      default:
        quit(84);
    }
  }
  return fpstate;
}

}  // namespace sigframe
