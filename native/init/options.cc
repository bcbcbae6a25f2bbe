#include "init/options.h"

#include <cpuid.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace sigframe::init {
namespace {

constexpr size_t kPage = 4096;
constexpr long kX32Bit = 0x40000000;  // __X32_SYSCALL_BIT

/** Closes what a call opened. Only what the kernel does not have at all is lacking: a refusal is an answer. */
bool isAnswered(long result) {
  const int error = errno;
  if (result >= 0) {
    close(static_cast<int>(result));
    return true;
  }
  return error != ENOSYS;
}

bool hasFutex() {
  uint32_t word = 0;
  return syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0) >= 0 || errno != ENOSYS;
}

bool hasEpoll() { return isAnswered(epoll_create1(EPOLL_CLOEXEC)); }

bool hasEventfd() { return isAnswered(eventfd(0, EFD_CLOEXEC)); }

bool hasMemfd() { return isAnswered(memfd_create("sigframe-init", MFD_CLOEXEC)); }

bool hasAdvice() {
  void* at = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) return true;
  const bool has = madvise(at, kPage, MADV_DONTNEED) == 0 || errno != ENOSYS;
  munmap(at, kPage);
  return has;
}

bool hasTimers() {
  sigevent event{};
  event.sigev_notify = SIGEV_NONE;
  int timer = 0;  // the kernel's own number of it
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) return errno != ENOSYS;
  syscall(SYS_timer_delete, timer);
  return true;
}

bool hasProc() { return access("/proc/self/stat", F_OK) == 0; }

bool hasProcSysctl() { return access("/proc/sys/kernel/tainted", F_OK) == 0; }

bool hasSysfs() { return access("/sys/devices/system/cpu/online", F_OK) == 0; }

bool hasKernelLog() {
  constexpr int kSizeBuffer = 10;  // SYSLOG_ACTION_SIZE_BUFFER
  return syscall(SYS_syslog, kSizeBuffer, nullptr, 0) >= 0 || errno != ENOSYS;
}

bool hasSmp() {
  utsname name{};
  return uname(&name) != 0 || strstr(name.version, " SMP") != nullptr;
}

/** In a child: without 32-bit system calls the instruction is a fault. */
bool hasIa32() {
  const pid_t pid = fork();
  if (pid < 0) return true;
  if (pid == 0) {
    constexpr int kGetpid = 20;  // asm/unistd_32.h
    int result = kGetpid;
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    _exit(result == getpid() ? 0 : 1);
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool hasX32() { return syscall(kX32Bit | SYS_getpid) >= 0; }

bool hasUserfaultfd() { return isAnswered(syscall(SYS_userfaultfd, O_CLOEXEC)); }

/** Only where the CPU has them. */
bool hasProtectionKeys() {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(c & bit_PKU)) return true;
  return (c & bit_OSPKE) != 0;
}

/** What Node and the probes do with each of them denied has been tried; sockets, signalfd, timerfd, inotify, file locks are not missed. */
struct Option {
  const char* kind;
  const char* name;
  const char* what;
  bool (*isThere)();
};

const Option options[] = {
    {"lacks", "CONFIG_FUTEX", "futex: threads, and the way to the probe process", hasFutex},
    {"lacks", "CONFIG_EPOLL", "epoll_create1: Node's event loop", hasEpoll},
    {"lacks", "CONFIG_EVENTFD", "eventfd2: Node's event loop", hasEventfd},
    {"lacks", "CONFIG_MEMFD_CREATE", "memfd_create (with CONFIG_TMPFS, CONFIG_SHMEM): the memory shared with the probe process",
     hasMemfd},
    {"lacks", "CONFIG_ADVISE_SYSCALLS", "madvise: Node's memory, pages evicted under a frame", hasAdvice},
    {"lacks", "CONFIG_PROC_FS", "/proc: Node, and what becomes of processes", hasProc},
    {"wants", "CONFIG_POSIX_TIMERS", "timer_create: signals from timers", hasTimers},
    {"wants", "CONFIG_PROC_SYSCTL", "/proc/sys/kernel/tainted: the kernel's taint", hasProcSysctl},
    {"wants", "CONFIG_PRINTK", "syslog: the kernel's log", hasKernelLog},
    {"wants", "CONFIG_SYSFS", "/sys: which CPUs are online", hasSysfs},
    {"wants", "CONFIG_SMP", "a second CPU: signals from it, migration", hasSmp},
    {"wants", "CONFIG_IA32_EMULATION", "int $0x80: 32-bit frames", hasIa32},
    {"wants", "CONFIG_X86_X32_ABI", "x32 system calls: x32 frames", hasX32},
    {"wants", "CONFIG_USERFAULTFD", "userfaultfd: faults while the kernel reads a frame", hasUserfaultfd},
    {"wants", "CONFIG_X86_INTEL_MEMORY_PROTECTION_KEYS", "PKRU: protection keys, which this CPU has", hasProtectionKeys},
};

}  // namespace

int tellOptions(Channel& channel) {
  int lacking = 0;
  for (const Option& option : options) {
    if (option.isThere()) continue;
    channel.say(Line(option.kind).text(option.name).text(option.what));
    if (strcmp(option.kind, "lacks") == 0) lacking++;
  }
  return lacking;
}

}  // namespace sigframe::init
