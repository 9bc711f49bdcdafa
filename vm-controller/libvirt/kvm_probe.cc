// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/kvm_probe.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/runtime/logging.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(1);
constexpr int kWorked = 33;  // What isa-debug-exit makes of the sector's 0x10.
constexpr int kDiskBytes = 1 << 20;

// A boot sector: reads by the BIOS (real and protected mode), enters long mode, runs a loop of a
// million rounds, and ends QEMU through isa-debug-exit.
constexpr char kBootSector[] =
    "fa31c08ed88ec08ed0bc007cfbfcea137c0000bd4000b80102bb0080b90100ba"
    "8000cd1372594d75edfabf001031c0b90018f3abc70600100320c70600200330"
    "c706003083000f20e06683c8200f22e066b8001000000f22d866b9800000c00f"
    "32660d000100000f300f20c0660d010000800f0116b07c0f22c0ea867c0800b0"
    "20e6f4f4ebfd4831c0b940420f004801c8e2fbb010e6f4f4ebfd660f1f440000"
    "000000000000000000000000009a20000f00a07c000000000000000000000000";

// The disk, in a file without a name.
int MakeDisk() {
  const int fd = static_cast<int>(memfd_create("kvm-probe", MFD_CLOEXEC));
  std::string sector = absl::HexStringToBytes(kBootSector);
  sector.resize(510);
  sector += "\x55\xaa";
  if (fd < 0) return -1;
  if (write(fd, sector.data(), sector.size()) != 512 || ftruncate(fd, kDiskBytes) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

pid_t Spawn(const std::string& emulator, const std::string& accelerator, int disk) {
  const std::string drive = absl::StrCat("file=/proc/", getpid(), "/fd/", disk,
                                         ",format=raw,if=none,id=d,readonly=on,file.locking=off");
  std::vector<std::string> words = {emulator,
                                    "-accel",
                                    accelerator,
                                    "-machine",
                                    "q35",
                                    "-cpu",
                                    "max",
                                    "-m",
                                    "16",
                                    "-nodefaults",
                                    "-no-user-config",
                                    "-display",
                                    "none",
                                    "-no-reboot",
                                    "-device",
                                    "isa-debug-exit,iobase=0xf4,iosize=4",
                                    "-drive",
                                    drive,
                                    "-device",
                                    "virtio-blk-pci,drive=d"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  }
  pid_t child = -1;
  if (posix_spawn(&child, emulator.c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
    child = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  return child;
}

bool EndsWell(pid_t child) {
  const absl::Time deadline = absl::Now() + kTimeout;
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (absl::Now() > deadline) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return false;
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == kWorked;
}

}  // namespace

bool TryAccelerator(const std::string& emulator, const std::string& accelerator) {
  const int disk = MakeDisk();
  const pid_t child = disk < 0 ? -1 : Spawn(emulator, accelerator, disk);
  const bool works = child > 0 && EndsWell(child);
  if (disk >= 0) close(disk);
  return works;
}

bool KvmWorks([[maybe_unused]] const std::string& emulator) {
#if defined(__x86_64__)
  if (access("/dev/kvm", R_OK | W_OK) != 0) return false;
  const bool works = TryAccelerator(emulator, "kvm");
  spdlog::info("tried kvm works={}", works);
  return works;
#else
  return false;
#endif
}

}  // namespace virmo::vm_controller
