// What goes wrong here is told on the console: the data channel is for what the host counts on.
#pragma once

namespace sigframe::init {

/** `sigframe-init: what: why`, on descriptor 2. */
void complain(const char* what, const char* why);

}  // namespace sigframe::init
