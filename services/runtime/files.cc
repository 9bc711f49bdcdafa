// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo {

namespace {

absl::Status FileError(absl::string_view what, const std::string& path, int error = errno) {
  const std::string message = absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error));
  if (error == ENOENT) return Error(v1::ErrorInfo::REASON_NOT_FOUND, message, {{"file", path}});
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, message, {{"file", path}});
}

// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

absl::Status WriteAll(int fd, absl::string_view content, const std::string& path) {
  while (!content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", path);
    content.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteAndSync(const std::string& path, absl::string_view content, int mode) {
  const Descriptor file(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, static_cast<mode_t>(mode)));
  if (file.get() < 0) return FileError("create", path);
  // open() takes the umask off; the caller's word is final.
  if (fchmod(file.get(), static_cast<mode_t>(mode)) != 0) return FileError("chmod", path);
  RETURN_IF_ERROR(WriteAll(file.get(), content, path));
  if (fsync(file.get()) != 0) return FileError("fsync", path);
  return absl::OkStatus();
}

std::string TemporaryName(const std::string& path) {
  static std::atomic<int> counter = 0;
  return absl::StrCat(path, ".tmp-", getpid(), "-", counter++);
}

}  // namespace

absl::Status WriteFileAtomically(const std::string& path, absl::string_view content, int mode) {
  const std::string temporary = TemporaryName(path);
  unlink(temporary.c_str());  // Left by a process of the same number that was killed.
  absl::Status status = WriteAndSync(temporary, content, mode);
  if (status.ok() && rename(temporary.c_str(), path.c_str()) != 0) {
    status = FileError("rename", path);
  }
  if (!status.ok()) {
    unlink(temporary.c_str());
    return status;
  }
  return SyncDirectory(FolderOf(path));
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return FileError("open", path);
  std::string content;
  char buffer[16384];
  while (true) {
    const ssize_t count = read(file.get(), buffer, sizeof(buffer));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError("read", path);
    if (count == 0) return content;
    content.append(buffer, static_cast<size_t>(count));
    if (content.size() > max_bytes) {
      return Error(v1::ErrorInfo::REASON_INVALID_ARGUMENT,
                   absl::StrCat("cannot read ", path, ": larger than ", max_bytes, " bytes"),
                   {{"file", path}, {"max_bytes", absl::StrCat(max_bytes)}});
    }
  }
}

absl::Status MakeDirectory(const std::string& path, int mode) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? absl::OkStatus() : FileError("make folder", path, ENOTDIR);
  }
  const std::string parent = FolderOf(path);
  if (parent != path && parent != ".") RETURN_IF_ERROR(MakeDirectory(parent, 0755));
  if (mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0) {
    // Another process may have been faster.
    return errno == EEXIST ? absl::OkStatus() : FileError("make folder", path);
  }
  if (chmod(path.c_str(), static_cast<mode_t>(mode)) != 0) return FileError("chmod", path);
  return SyncDirectory(parent);
}

absl::Status SyncDirectory(const std::string& path) {
  const Descriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0) return FileError("open", path);
  if (fsync(folder.get()) != 0) return FileError("fsync", path);
  return absl::OkStatus();
}

}  // namespace virmo
