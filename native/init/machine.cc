#include "init/machine.h"

#include <fcntl.h>
#include <linux/random.h>
#include <linux/serial.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "init/console.h"

namespace sigframe::init {
namespace {

struct FileSystem {
  const char* type;
  const char* at;
  const char* options;
};

struct Node {
  const char* path;
  unsigned major;
  unsigned minor;
  mode_t mode;
};

const FileSystem fileSystems[] = {
    {"proc", "/proc", nullptr},
    {"sysfs", "/sys", nullptr},
    // For clear_warn_once: warnings that print once a boot.
    {"debugfs", "/sys/kernel/debug", nullptr},
    {"tmpfs", "/tmp", "mode=1777"},
    {"tmpfs", "/dev/shm", "mode=1777"},
};

// Documentation/admin-guide/devices.txt
const Node nodes[] = {
    {"/dev/console", 5, 1, 0600}, {"/dev/null", 1, 3, 0666},   {"/dev/zero", 1, 5, 0666},
    {"/dev/random", 1, 8, 0666},  {"/dev/urandom", 1, 9, 0666}, {"/dev/kmsg", 1, 11, 0644},
    {"/dev/tty", 5, 0, 0666},     {"/dev/ttyS0", 4, 64, 0600}, {"/dev/ttyS1", 4, 65, 0600},
};

/** What is mounted already (EBUSY) is well. */
int mountAt(const FileSystem& system) {
  // Where it cannot be made, mount says so.
  mkdir(system.at, 0755);
  const unsigned long flags = MS_NOSUID | (strcmp(system.type, "tmpfs") == 0 ? MS_NODEV : 0);
  if (mount(system.type, system.at, system.type, flags, system.options) == 0 || errno == EBUSY) return 0;
  return errno;
}

void makeNode(const Node& node) {
  if (mknod(node.path, S_IFCHR | node.mode, makedev(node.major, node.minor)) == 0 || errno == EEXIST) return;
  complain(node.path, strerror(errno));
}

/** Descriptors 0 to 2: the kernel could open the console for us only if the initramfs has its node. */
void openConsole() {
  const int fd = open("/dev/console", O_RDWR | O_NOCTTY);
  for (int stream = 0; fd >= 0 && stream <= STDERR_FILENO; stream++) dup2(fd, stream);
  if (fd > STDERR_FILENO) close(fd);
  // Whatever happened: no file of ours may become one of them.
  for (int other = fd; other >= 0 && other <= STDERR_FILENO;) other = open("/dev/null", O_RDWR);
  termios settings{};
  if (tcgetattr(STDERR_FILENO, &settings) != 0) return;
  settings.c_oflag &= ~static_cast<tcflag_t>(OPOST);
  tcsetattr(STDERR_FILENO, TCSANOW, &settings);
}

/**
 * Lets getrandom answer at once, instead of after the second that an emulated CPU without RDRAND needs to gather what it wants. Nothing in
 * this machine is secret.
 */
void seedRandom() {
  const int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  // struct rand_pool_info: how many bits it is worth, how many bytes there are, the bytes.
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const int pool[2 + 16] = {16 * 32, 16 * sizeof(int), static_cast<int>(now.tv_sec), static_cast<int>(now.tv_nsec)};
  ioctl(fd, RNDADDENTROPY, pool);
  close(fd);
}

void pauseMs(long milliseconds) {
  const timespec time{milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&time, nullptr);
}

}  // namespace

void prepareMachine() {
  umask(022);
  // The console comes with it: failures are told after.
  const int noDevices = mountAt({"devtmpfs", "/dev", "mode=0755"});
  for (const Node& node : nodes) makeNode(node);
  openConsole();
  if (noDevices != 0) complain("devtmpfs", strerror(noDevices));
  for (const FileSystem& system : fileSystems) {
    if (const int error = mountAt(system)) complain(system.at, strerror(error));
  }
  seedRandom();
}

int openDataPort() {
  const int fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return -1;
  termios settings{};
  int lines;
  // A port without hardware opens, and fails here.
  if (tcgetattr(fd, &settings) == 0 && ioctl(fd, TIOCMGET, &lines) == 0) {
    cfmakeraw(&settings);
    cfsetspeed(&settings, B115200);
    settings.c_cflag |= CLOCAL;
    settings.c_cflag &= ~static_cast<tcflag_t>(CRTSCTS);
    if (tcsetattr(fd, TCSANOW, &settings) == 0) return fd;
  }
  close(fd);
  return -1;
}

// Not tcdrain: it waits for ever where a port has died.
void drainPort(int fd) {
  constexpr int kSliceMs = 5;
  constexpr int kMostMs = 2000;
  for (int passed = 0; passed < kMostMs; passed += kSliceMs) {
    int queued = 0;
    unsigned sent = TIOCSER_TEMT;
    if (ioctl(fd, TIOCOUTQ, &queued) != 0) return;
    // The kernel's queue first, then what the port itself holds.
    if (queued == 0 && (ioctl(fd, TIOCSERGETLSR, &sent) != 0 || (sent & TIOCSER_TEMT))) return;
    pauseMs(kSliceMs);
  }
}

void printKernelStacks() {
  const int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  // Documentation/admin-guide/sysrq.rst: w blocked tasks, l CPUs (a task that loops in the kernel is not blocked).
  for (const char* key = "wl"; *key != 0; key++) {
    if (write(fd, key, 1) != 1) break;
  }
  close(fd);
}

void powerOff() {
  sync();
  // Without ACPI power-off stops the CPUs, and the emulator goes on; a reset ends one that was told not to reboot.
  if (access("/sys/firmware/acpi", F_OK) == 0) reboot(RB_POWER_OFF);
  reboot(RB_AUTOBOOT);
  for (;;) pause();
}

}  // namespace sigframe::init
