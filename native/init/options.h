// What the running kernel was built without.
#pragma once

#include "init/channel.h"

namespace sigframe::init {

/**
 * `lacks CONFIG_X what for`, one line each, for what Node or a probe does not work without; `wants CONFIG_X what for` where
 * cases are skipped or less is seen. Asked of the kernel itself. /proc and /sys are to be mounted before.
 * @returns how many it lacks.
 */
int tellOptions(Channel& channel);

}  // namespace sigframe::init
