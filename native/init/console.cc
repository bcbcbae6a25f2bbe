#include "init/console.h"

#include <unistd.h>

#include "init/line.h"

namespace sigframe::init {

void complain(const char* what, const char* why) {
  const Line line = Line("sigframe-init:").text(what).text("-").text(why);
  // There is nowhere else to tell it.
  if (write(STDERR_FILENO, line.bytes(), line.length()) < 0) return;
}

}  // namespace sigframe::init
