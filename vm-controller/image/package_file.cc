// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/package_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

constexpr int64_t kSyncEvery = 1 << 20;
constexpr absl::Duration kTellEvery = absl::Milliseconds(500);

absl::Status FileError(const std::string& what, const std::string& path, int error) {
  const ErrorInfo::Reason reason = error == ENOSPC || error == EDQUOT
                                       ? ErrorInfo::REASON_DOWNLOAD_STORAGE_FULL
                                       : ErrorInfo::REASON_STORAGE_FAILED;
  return Error(reason, absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error)),
               {{"file", path}});
}

}  // namespace

absl::StatusOr<std::unique_ptr<PackageFile>> PackageFile::Open(const Fetcher::Job& job) {
  const int fd = open(job.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return FileError("open", job.path, errno);
  std::unique_ptr<PackageFile> file = absl::WrapUnique(new PackageFile(job, fd));
  if (ftruncate(fd, job.offset) != 0) return FileError("truncate", job.path, errno);
  return file;
}

PackageFile::PackageFile(const Fetcher::Job& job, int fd)
    : job_(job), fd_(fd), size_(job.offset), durable_(job.offset), total_(job.expected_size) {}

PackageFile::~PackageFile() { close(fd_); }

absl::Status PackageFile::Restart() {
  if (ftruncate(fd_, 0) != 0) return FileError("truncate", job_.path, errno);
  size_ = durable_ = 0;
  return absl::OkStatus();
}

absl::Status PackageFile::CheckSize(int64_t size) const {
  if (job_.expected_size > 0 && size > job_.expected_size) {
    return Error(ErrorInfo::REASON_PACKAGE_INVALID,
                 absl::StrCat("the package is larger than the ", job_.expected_size,
                              " bytes it should have"),
                 {{"expected_bytes", absl::StrCat(job_.expected_size)}});
  }
  if (job_.max_size > 0 && size > job_.max_size) {
    return Error(
        ErrorInfo::REASON_PACKAGE_INVALID,
        absl::StrCat("the package is larger than the ", job_.max_size, " bytes that are allowed"),
        {{"max_bytes", absl::StrCat(job_.max_size)}});
  }
  return absl::OkStatus();
}

absl::Status PackageFile::SetTotal(int64_t total) {
  RETURN_IF_ERROR(CheckSize(total));
  total_ = total;
  return job_.on_progress(durable_, total_);
}

absl::Status PackageFile::Append(absl::string_view data) {
  RETURN_IF_ERROR(CheckSize(size_ + static_cast<int64_t>(data.size())));
  while (!data.empty()) {
    const ssize_t written = pwrite(fd_, data.data(), data.size(), size_);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return FileError("write", job_.path, errno);
    size_ += written;
    data.remove_prefix(static_cast<size_t>(written));
  }
  const bool due = size_ - durable_ >= kSyncEvery || absl::Now() - told_ >= kTellEvery;
  return due ? Sync() : absl::OkStatus();
}

absl::Status PackageFile::CheckCancelled() const {
  if (!job_.is_cancelled()) return absl::OkStatus();
  return Error(ErrorInfo::REASON_CANCELLED, "cancelled while fetching the package");
}

absl::Status PackageFile::Sync() {
  if (fdatasync(fd_) != 0) return FileError("fsync", job_.path, errno);
  durable_ = size_;
  told_ = absl::Now();
  return job_.on_progress(durable_, total_);
}

absl::Status PackageFile::Finish() {
  RETURN_IF_ERROR(Sync());
  if (job_.expected_size == 0 || size_ == job_.expected_size) return absl::OkStatus();
  return Error(
      ErrorInfo::REASON_PACKAGE_INVALID,
      absl::StrCat("the package is truncated: ", size_, " bytes of ", job_.expected_size),
      {{"expected_bytes", absl::StrCat(job_.expected_size)}, {"bytes", absl::StrCat(size_)}});
}

}  // namespace virmo::vm_controller
