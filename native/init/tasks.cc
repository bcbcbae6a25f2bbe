#include "init/tasks.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sigframe::init {
namespace {

/** A folder, and what is in it; what is too long is cut off, and not found. */
class Path {
 public:
  Path(const char* folder, const char* name) { add(add(add(text_, folder), "/"), name); }
  Path(const char* folder, int number) {
    char digits[16];
    snprintf(digits, sizeof digits, "%d", number);
    add(add(add(text_, folder), "/"), digits);
  }
  const char* text() const { return text_; }

 private:
  char* add(char* at, const char* words) {
    while (*words != 0 && at < text_ + sizeof text_ - 1) *at++ = *words++;
    *at = 0;
    return at;
  }
  char text_[96];
};

struct Task {
  char comm[64];
  char state;
  int parent;
};

/** The beginning of a file, as text. */
bool readText(const char* path, char* text, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t got = read(fd, text, size - 1);
  close(fd);
  if (got < 0) return false;
  text[got] = 0;
  return true;
}

/** `pid (comm) state ppid …`, where comm may hold anything: proc_pid_stat(5). */
bool readTask(const char* folder, Task& task) {
  char text[512];
  if (!readText(Path(folder, "stat").text(), text, sizeof text)) return false;
  const char* start = strchr(text, '(');
  const char* end = strrchr(text, ')');
  if (start == nullptr || end == nullptr || end < start || end[1] != ' ' || end[2] == 0) return false;
  const size_t length = static_cast<size_t>(end - start - 1);
  const size_t kept = length < sizeof task.comm ? length : sizeof task.comm - 1;
  memcpy(task.comm, start + 1, kept);
  task.comm[kept] = 0;
  task.state = end[2];
  task.parent = atoi(end + 3);
  return true;
}

bool isOver(const Task& task) { return task.state == 'Z' || task.state == 'X'; }

/** Calls `visit(number, folder)` for each numbered folder until one returns true; whether one did. */
template <typename Visit>
bool anyNumbered(const char* where, Visit visit) {
  DIR* folder = opendir(where);
  if (folder == nullptr) return false;
  bool found = false;
  while (!found) {
    const dirent* entry = readdir(folder);
    if (entry == nullptr) break;
    const int number = atoi(entry->d_name);
    if (number > 0) found = visit(number, Path(where, number).text());
  }
  closedir(folder);
  return found;
}

bool descendsFrom(int ancestor, int pid) {
  constexpr int kDeepest = 1000;
  int at = pid;
  for (int i = 0; i < kDeepest && at > 1; i++) {
    Task task;
    if (!readTask(Path("/proc", at).text(), task)) {
      if (at == pid) return false;
      // The parent that it had has gone meanwhile: it has another one now.
      at = pid;
      continue;
    }
    if (task.parent == ancestor) return true;
    at = task.parent;
  }
  return false;
}

template <typename Visit>
bool anyDescendant(Visit visit) {
  const int self = getpid();
  return anyNumbered("/proc", [self, &visit](int pid, const char* folder) {
    return pid != self && descendsFrom(self, pid) && visit(pid, folder);
  });
}

template <typename Visit>
bool anyThread(const char* folder, Visit visit) {
  return anyNumbered(Path(folder, "task").text(), visit);
}

/** A process whose first thread has ended is a zombie to look at, while another thread still runs. */
bool stillRuns(const char* folder) {
  return anyThread(folder, [](int, const char* thread) {
    Task task;
    return readTask(thread, task) && !isOver(task);
  });
}

void tell(Channel& channel, const char* kind, int number, const char* folder, const Task& task) {
  char wchan[128];
  // "0": it does not wait, or the kernel knows no names.
  if (!readText(Path(folder, "wchan").text(), wchan, sizeof wchan) || strcmp(wchan, "0") == 0) wchan[0] = 0;
  const char state[] = {task.state, 0};
  channel.say(Line(kind).number(number).word(task.comm).word(state).word(wchan));
}

}  // namespace

void tellTasks(Channel& channel) {
  anyDescendant([&channel](int pid, const char* folder) {
    return anyThread(folder, [&channel, pid](int thread, const char* path) {
      Task task;
      const bool isTold = readTask(path, task) && (thread == pid || (task.state != 'S' && !isOver(task)));
      if (isTold) tell(channel, "task", thread, path, task);
      return false;
    });
  });
}

void killAll() {
  // All but this process at once, so that none can fork its way out.
  if (getpid() == 1) {
    kill(-1, SIGKILL);
    return;
  }
  anyDescendant([](int pid, const char*) {
    kill(pid, SIGKILL);
    return false;
  });
}

bool anyLeft() {
  return anyDescendant([](int, const char* folder) { return stillRuns(folder); });
}

void tellUnkillable(Channel& channel) {
  anyDescendant([&channel](int pid, const char* folder) {
    anyThread(folder, [&channel, pid](int, const char* path) {
      Task task;
      if (!readTask(path, task) || isOver(task)) return false;
      tell(channel, "unkillable", pid, path, task);
      return true;
    });
    return false;
  });
}

}  // namespace sigframe::init
