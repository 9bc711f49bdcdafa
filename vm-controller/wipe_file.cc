// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/wipe_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

constexpr size_t kChunk = 1 << 20;

absl::Status Failure(const std::string& path) {
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("cannot wipe ", path, ": ", std::strerror(errno)), {{"file", path}});
}

bool WriteZeros(int fd, off_t from, off_t to) {
  static const std::vector<char> zeros(kChunk);
  while (from < to) {
    const size_t size = std::min(kChunk, static_cast<size_t>(to - from));
    const ssize_t written = pwrite(fd, zeros.data(), size, from);
    if (written <= 0) return false;
    from += written;
  }
  return true;
}

// Only what holds data; the holes of a sparse file stay holes.
bool OverwriteData(int fd) {
  const off_t end = lseek(fd, 0, SEEK_END);
  for (off_t at = 0; at < end;) {
    const off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0) return errno == ENXIO;  // No data behind it.
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    if (hole < 0 || !WriteZeros(fd, data, hole)) return false;
    at = hole;
  }
  return true;
}

}  // namespace

absl::Status EmptyFile(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return errno == ENOENT ? absl::OkStatus() : Failure(path);
  if (!S_ISREG(info.st_mode)) return absl::OkStatus();
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return Failure(path);
  const bool emptied = OverwriteData(fd) && fdatasync(fd) == 0 && ftruncate(fd, 0) == 0;
  absl::Status status = emptied ? absl::OkStatus() : Failure(path);
  close(fd);
  return status;
}

absl::Status WipeFile(const std::string& path) {
  RETURN_IF_ERROR(EmptyFile(path));
  return unlink(path.c_str()) == 0 || errno == ENOENT ? absl::OkStatus() : Failure(path);
}

absl::Status WipeDirectory(const std::string& path) {
  std::error_code error;
  std::vector<std::string> files;
  for (auto entry = std::filesystem::recursive_directory_iterator(path, error);
       !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
    if (!entry->is_directory() || entry->is_symlink()) files.push_back(entry->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("cannot wipe ", path, ": ", error.message()), {{"file", path}});
  }
  for (const std::string& file : files) RETURN_IF_ERROR(WipeFile(file));
  std::filesystem::remove_all(path, error);
  if (!error) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("cannot remove ", path, ": ", error.message()), {{"file", path}});
}

}  // namespace virmo::vm_controller
