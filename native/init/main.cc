// The first process of a virtual machine: makes it fit for Node, says what its kernel lacks, runs one command, and turns
// the power off. It uses no signal of its own: a kernel whose signal frames are broken must not break it.
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "init/channel.h"
#include "init/command.h"
#include "init/job.h"
#include "init/machine.h"
#include "init/options.h"

namespace sigframe::init {
namespace {

constexpr int kUsage = 64;    // EX_USAGE
constexpr int kBadData = 65;  // EX_DATAERR
constexpr const char* kJobPath = "/job";
constexpr const char* kConsolePrefix = "sigframe: ";

/** Of the channel's lines; a host that knows another one says so. */
constexpr long kVersion = 1;

Job job;

void tellBadJob(Channel& channel, const char* path, const BadJob& problem) {
  Line line("broken");
  line.text(path);
  if (problem.line > 0) line.text("line").number(problem.line);
  channel.say(line.text("-").text(problem.why));
}

/** How often the kernel has killed for want of memory. */
void tellOutOfMemory(Channel& channel) {
  FILE* file = fopen("/proc/vmstat", "re");
  if (file == nullptr) return;
  char line[128];
  constexpr char kName[] = "oom_kill ";
  while (fgets(line, sizeof line, file) != nullptr) {
    if (strncmp(line, kName, sizeof kName - 1) != 0) continue;
    const long count = atol(line + sizeof kName - 1);
    if (count != 0) channel.say(Line("oom").number(count));
  }
  fclose(file);
}

void runJob(Channel& channel, const char* path, bool isMachine) {
  const BadJob problem = readJob(path, job);
  if (problem.why != nullptr) return tellBadJob(channel, path, problem);
  runCommand(job, channel, isMachine);
}

[[noreturn]] void runMachine() {
  prepareMachine();
  const int port = openDataPort();
  Channel channel(port >= 0 ? port : STDERR_FILENO, port >= 0 ? "" : kConsolePrefix);
  utsname name{};
  uname(&name);
  channel.say(Line("boot").number(kVersion).text(name.release));
  if (port < 0) channel.say(Line("wants").text("CONFIG_SERIAL_8250 /dev/ttyS1: the data channel, which is the console now"));
  if (tellOptions(channel) == 0) runJob(channel, kJobPath, true);
  tellOutOfMemory(channel);
  channel.say(Line("end"));
  drainPort(channel.fd());
  drainPort(STDERR_FILENO);
  powerOff();
}

int parse(const char* path) {
  Channel channel(STDOUT_FILENO, "");
  const BadJob problem = readJob(path, job);
  if (problem.why != nullptr) {
    tellBadJob(channel, path, problem);
    return kBadData;
  }
  channel.say(Line("seconds").number(job.seconds));
  channel.say(Line("quiet").number(job.quiet));
  for (size_t i = 0; i < job.argCount; i++) channel.say(Line("arg").text(job.args[i]));
  for (size_t i = 0; i < job.envCount; i++) channel.say(Line("env").text(job.env[i]));
  channel.say(Line("cwd").text(job.cwd));
  return 0;
}

int check() {
  Channel channel(STDOUT_FILENO, "");
  tellOptions(channel);
  return 0;
}

int rehearse(const char* path) {
  // As the first process does, it gets the children of those that end.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Channel channel(STDOUT_FILENO, "");
  runJob(channel, path, false);
  channel.say(Line("end"));
  return 0;
}

int refuse() {
  fputs(
      "sigframe-init: this is the first process of a virtual machine, which it mounts, runs and turns off; not for use here\n"
      "  sigframe-init --check          what the running kernel was built without\n"
      "  sigframe-init --parse FILE     what a job file says\n"
      "  sigframe-init --rehearse FILE  run a job here; standard output is the data channel\n",
      stderr);
  return kUsage;
}

int run(int count, char** words) {
  if (count == 2 && strcmp(words[1], "--check") == 0) return check();
  if (count == 3 && strcmp(words[1], "--parse") == 0) return parse(words[2]);
  if (count == 3 && strcmp(words[1], "--rehearse") == 0) return rehearse(words[2]);
  // Whatever other words there are: the kernel hands those of its command line that it does not know to the first process.
  if (getpid() == 1) runMachine();
  return refuse();
}

}  // namespace
}  // namespace sigframe::init

int main(int count, char** words) { return sigframe::init::run(count, words); }
