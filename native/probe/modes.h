// What the probe executable does when it is given arguments: a child of its own, which touches no arena.
#pragma once

namespace sigframe {

/** `steps STEP...`: system calls on the process itself, one after the other, each answered by a line on stdout. */
int runSteps(int count, char** steps);

/** `checkpointed FOLDER`: a process that is to be checkpointed inside its signal handler. */
int runCheckpointed(const char* folder);

}  // namespace sigframe
