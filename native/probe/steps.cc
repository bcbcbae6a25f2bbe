// System calls on the process itself: its auxiliary vector, its capabilities, its permissions for components. Nothing
// is judged here: every step writes a line, its name, its errno and what it read, and the next one follows.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "probe/modes.h"

#ifndef PR_SET_MM_MAP
#error "the kernel headers are too old"
#endif
#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

extern "C" const uint8_t sigframe_auxv32[], sigframe_auxv32_end[];

namespace sigframe {
namespace {

/** No step may hang: the whole line of children ends by then. */
constexpr unsigned kSeconds = 5;

constexpr size_t kMostEntries = 64;

struct Entry {
  unsigned long type, value;
};

struct Vector {
  Entry entries[kMostEntries];
  size_t count;  // without AT_NULL
};

void say(const char* step, int error) { dprintf(STDOUT_FILENO, "%s %d\n", step, error); }

/** Whether a call succeeded, as an errno. */
int errorOf(long result) { return result < 0 ? errno : 0; }

/** @returns bytes read, or -1 */
ssize_t readFile(const char* path, void* to, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t got = 0;
  while (got < size) {
    const ssize_t part = read(fd, static_cast<char*>(to) + got, size - got);
    if (part < 0) {
      close(fd);
      return -1;
    }
    if (part == 0) break;
    got += static_cast<size_t>(part);
  }
  close(fd);
  return static_cast<ssize_t>(got);
}

void countEntries(Vector& vector, size_t bytes) {
  const size_t most = bytes / sizeof(Entry) < kMostEntries ? bytes / sizeof(Entry) : kMostEntries;
  for (vector.count = 0; vector.count < most; vector.count++)
    if (vector.entries[vector.count].type == 0) return;
}

/** What the kernel keeps: glibc's getauxval(AT_HWCAP) has another value on x86. */
int readVector(Vector& vector) {
  const ssize_t got = readFile("/proc/self/auxv", vector.entries, sizeof vector.entries);
  countEntries(vector, got < 0 ? 0 : static_cast<size_t>(got));
  return errorOf(got);
}

int getVector(Vector& vector) {
  const long got = prctl(PR_GET_AUXV, vector.entries, sizeof vector.entries, 0, 0);
  countEntries(vector, got < 0 ? 0 : sizeof vector.entries);
  return errorOf(got);
}

void sayVector(const char* step, int error, const Vector& vector) {
  dprintf(STDOUT_FILENO, "%s %d", step, error);
  for (size_t i = 0; i < vector.count; i++)
    dprintf(STDOUT_FILENO, " %lx=%lx", vector.entries[i].type, vector.entries[i].value);
  dprintf(STDOUT_FILENO, "\n");
}

/** Puts `type=value,...` (hexadecimal) into a vector; `-` leaves nothing of it. */
bool change(Vector& vector, const char* text) {
  if (strcmp(text, "-") == 0) {
    vector.count = 0;
    return true;
  }
  while (*text != '\0') {
    char* end;
    const unsigned long type = strtoul(text, &end, 16);
    if (*end != '=') return false;
    const unsigned long value = strtoul(end + 1, &end, 16);
    size_t at = 0;
    while (at < vector.count && vector.entries[at].type != type) at++;
    // One is left for AT_NULL.
    if (at + 1 >= kMostEntries) return false;
    vector.entries[at] = Entry{type, value};
    if (at == vector.count) vector.count++;
    text = *end == ',' ? end + 1 : end;
    if (*end != ',' && *end != '\0') return false;
  }
  return true;
}

/** The process's own map, as PR_SET_MM_MAP wants it whole: from /proc/self/stat, whose fields proc(5) numbers. */
int ownMap(prctl_mm_map& map) {
  static char text[4096];
  const ssize_t got = readFile("/proc/self/stat", text, sizeof text - 1);
  if (got < 0) return errno;
  text[got] = '\0';
  char* at = strrchr(text, ')');
  if (at == nullptr) return EPROTO;
  unsigned long fields[64]{};
  // The state, a letter, is the third field.
  at = at[1] == '\0' || at[2] == '\0' ? at + 1 : at + 3;
  for (int field = 4; field < 53; field++) fields[field] = strtoul(at, &at, 10);
  map.start_code = fields[26];
  map.end_code = fields[27];
  map.start_stack = fields[28];
  map.start_data = fields[45];
  map.end_data = fields[46];
  map.start_brk = fields[47];
  map.arg_start = fields[48];
  map.arg_end = fields[49];
  map.env_start = fields[50];
  map.env_end = fields[51];
  map.brk = reinterpret_cast<unsigned long>(sbrk(0));
  map.exe_fd = ~0U;
  return 0;
}

int setByMap(Vector& vector, size_t bytes) {
  prctl_mm_map map{};
  if (const int error = ownMap(map)) return error;
  map.auxv = reinterpret_cast<decltype(map.auxv)>(vector.entries);
  map.auxv_size = static_cast<uint32_t>(bytes);
  return errorOf(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0));
}

/** `map:` and `set:`: changes the vector by one of the two calls. */
void setVector(const char* step, const char* changes, bool byMap) {
  static Vector vector;
  if (const int error = readVector(vector)) return say(step, error);
  if (!change(vector, changes)) return say(step, E2BIG);
  vector.entries[vector.count] = Entry{0, 0};
  const size_t bytes = (vector.count + 1) * sizeof(Entry);
  say(step, byMap ? setByMap(vector, bytes)
                  : errorOf(prctl(PR_SET_MM, PR_SET_MM_AUXV, vector.entries, bytes, 0)));
}

int dropCapabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2]{};
  return errorOf(syscall(SYS_capset, &header, none));
}

/** What lies where AT_SYSINFO_EHDR points, which may be nowhere. */
void sayVdso() {
  static Vector vector;
  int error = readVector(vector);
  uint8_t head[16]{};
  size_t at = 0;
  while (at < vector.count && vector.entries[at].type != 33) at++;
  if (at == vector.count) {
    error = ENOENT;
  } else {
    const int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    error = fd < 0 ? errno : errorOf(pread(fd, head, sizeof head, static_cast<off_t>(vector.entries[at].value)));
    if (fd >= 0) close(fd);
  }
  dprintf(STDOUT_FILENO, "vdso %d ", error);
  for (const uint8_t byte : head) dprintf(STDOUT_FILENO, "%02x", byte);
  dprintf(STDOUT_FILENO, "\n");
}

volatile sig_atomic_t illegal;

void skipInstruction(int, siginfo_t*, void* opaque) {
  illegal = 1;
  static_cast<ucontext_t*>(opaque)->uc_mcontext.gregs[REG_RIP] += 5;
}

/** Whether RDFSBASE works. */
void sayFsgsbase() {
  struct sigaction action {}, before {};
  action.sa_sigaction = skipInstruction;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGILL, &action, &before) != 0) return say("rdfsbase", errno);
  illegal = 0;
  asm volatile(".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0" ::: "rax", "memory");  // rdfsbase %rax: five bytes
  sigaction(SIGILL, &before, nullptr);
  dprintf(STDOUT_FILENO, "rdfsbase 0 %d\n", illegal == 0 ? 1 : 0);
}

/** `arch:CODE:ARGUMENT` in hexadecimal; the argument `p` is a word of ours, whose value is said. */
void sayArchPrctl(const char* text) {
  char* end;
  const unsigned long code = strtoul(text, &end, 16);
  unsigned long word = 0;
  const bool isWord = strcmp(end, ":p") == 0;
  const unsigned long argument =
      isWord ? reinterpret_cast<unsigned long>(&word) : strtoul(*end == ':' ? end + 1 : end, nullptr, 16);
  const int error = errorOf(syscall(SYS_arch_prctl, code, argument));
  dprintf(STDOUT_FILENO, "arch %d %lx\n", error, word);
}

/** The steps go on in a child; @returns whether this is it. */
bool isForked(int& status) {
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(81);
    alarm(kSeconds);
    say("fork", 0);
    return true;
  }
  if (child < 0) say("fork", errno);
  int ended = 0;
  while (child > 0 && waitpid(child, &ended, 0) < 0 && errno == EINTR) continue;
  status = child > 0 && WIFEXITED(ended) ? WEXITSTATUS(ended) : 81;
  return false;
}

constexpr int kMostSteps = 32;

/** Executes what `path` names, for the steps that are left. */
void executeFor(const char* path, int count, char** steps) {
  const char* arguments[kMostSteps + 3] = {path, "steps"};
  for (int i = 0; i < count; i++) arguments[i + 2] = steps[i];
  char* none[] = {nullptr};
  execve(path, const_cast<char**>(arguments), none);
  say("exec", errno);
}

/** Executes the 32-bit program, which executes the next step's file, if that is what it says, or reads its vector. */
void execute32(int count, char** steps) {
  const int fd = static_cast<int>(syscall(SYS_memfd_create, "sigframe-auxv32", 0));
  if (fd < 0) return say("exec32", errno);
  const auto size = static_cast<size_t>(sigframe_auxv32_end - sigframe_auxv32);
  if (write(fd, sigframe_auxv32, size) != static_cast<ssize_t>(size) || fchmod(fd, 0700) != 0)
    return say("exec32", errno);
  // A file that is open for writing is not executed.
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const int readable = open(path, O_RDONLY);
  if (readable < 0) return say("exec32", errno);
  close(fd);
  const char* arguments[kMostSteps + 4] = {"sigframe-auxv32"};
  if (count > 0 && strncmp(steps[0], "exec:", 5) == 0) {
    arguments[1] = steps[0] + 5;
    arguments[2] = "steps";
    for (int i = 1; i < count; i++) arguments[i + 2] = steps[i];
  }
  char* none[] = {nullptr};
  syscall(SYS_execveat, readable, "", const_cast<char**>(arguments), none, AT_EMPTY_PATH);
  say("exec32", errno);
}

}  // namespace

int runSteps(int count, char** steps) {
  static Vector vector;
  if (count > kMostSteps) return 82;
  alarm(kSeconds);
  for (int i = 0; i < count; i++) {
    const char* step = steps[i];
    const int left = count - i - 1;
    const auto is = [step](const char* name) { return strcmp(step, name) == 0; };
    const auto begins = [step](const char* name) { return strncmp(step, name, strlen(name)) == 0; };
    if (is("read")) {
      const int error = readVector(vector);
      sayVector("read", error, vector);
    } else if (is("get")) {
      const int error = getVector(vector);
      sayVector("get", error, vector);
    } else if (begins("map:")) {
      setVector("map", step + 4, true);
    } else if (begins("set:")) {
      setVector("set", step + 4, false);
    } else if (is("drop")) {
      say("drop", dropCapabilities());
    } else if (is("vdso")) {
      sayVdso();
    } else if (is("rdfsbase")) {
      sayFsgsbase();
    } else if (begins("arch:")) {
      sayArchPrctl(step + 5);
    } else if (is("fork")) {
      int status = 0;
      if (!isForked(status)) return status;
    } else if (begins("exec:")) {
      executeFor(step + 5, left, steps + i + 1);
      return 0;
    } else if (is("exec32")) {
      execute32(left, steps + i + 1);
      return 0;
    } else {
      return 82;
    }
  }
  return 0;
}

}  // namespace sigframe
