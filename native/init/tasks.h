// The processes of the machine, by /proc.
#pragma once

#include "init/channel.h"

namespace sigframe::init {

/** All that descend from this process, so no kernel threads: one `task` line each, and for threads that do not sleep. */
void tellTasks(Channel& channel);

/** SIGKILL to all of them. */
void killAll();

/** Whether any still runs; zombies do not. */
bool anyLeft();

/** One `unkillable` line for each that still runs. */
void tellUnkillable(Channel& channel);

}  // namespace sigframe::init
