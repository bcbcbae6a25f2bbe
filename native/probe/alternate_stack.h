// The alternate signal stack that a frame is delivered onto. In throw-away forks only.
#pragma once

namespace sigframe {

/** Makes the request's stack of its pages and registers it, and has the probe's handlers run there. */
void prepareAlternateStack();

}  // namespace sigframe
