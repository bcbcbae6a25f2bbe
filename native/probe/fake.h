// Frames built from nothing, without any signal delivered.
#pragma once

namespace sigframe {

/** Builds the frame of the request's ABI, takes it through its edit, and has `sigframe_fire` return from it. */
void prepareFake();

/** Remembers the alternate stack, which a frame restores. */
void keepAlternateStack();

}  // namespace sigframe
