// The command: started, watched, ended.
#pragma once

#include "init/channel.h"
#include "init/job.h"

namespace sigframe::init {

/**
 * Runs the job's command to its end, or to the end of its time, and tells on the channel:
 *
 *   start PID                     then whatever it writes to its descriptor 3
 *   beat SECONDS                  once a second, the machine's time since boot
 *   late WHY                      its time is over; then for all processes
 *   task PID COMM STATE WCHAN
 *   unkillable PID COMM STATE WCHAN   what survived SIGKILL
 *   exit CODE | killed SIGNAL | broken WHY
 *
 * @param isMachine false: only processes that descend from this one are touched, and the kernel is left alone.
 */
void runCommand(const Job& job, Channel& channel, bool isMachine);

}  // namespace sigframe::init
