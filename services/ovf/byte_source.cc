// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

absl::Status Short() { return absl::DataLossError("it ends too early"); }

class File : public ByteSource {
 public:
  File(int fd, int64_t size) : fd_(fd), size_(size) {}
  ~File() override { close(fd_); }
  int64_t size() const override { return size_; }

  absl::Status ReadAt(int64_t offset, size_t count, char* to) const override {
    while (count > 0) {
      const ssize_t got = pread(fd_, to, count, offset);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                     absl::StrCat("cannot read: ", std::strerror(errno)));
      }
      if (got == 0) return Short();
      to += got;
      offset += got;
      count -= static_cast<size_t>(got);
    }
    return absl::OkStatus();
  }

 private:
  const int fd_;
  const int64_t size_;
};

class Part : public ByteSource {
 public:
  Part(const ByteSource& whole, int64_t offset, int64_t size)
      : whole_(whole), offset_(offset), size_(size) {}
  int64_t size() const override { return size_; }

  absl::Status ReadAt(int64_t offset, size_t count, char* to) const override {
    if (offset < 0 || offset > size_ || static_cast<int64_t>(count) > size_ - offset) {
      return Short();
    }
    return whole_.ReadAt(offset_ + offset, count, to);
  }

 private:
  const ByteSource& whole_;
  const int64_t offset_;
  const int64_t size_;
};

class Text : public ByteSource {
 public:
  explicit Text(absl::string_view octets) : octets_(octets) {}
  int64_t size() const override { return static_cast<int64_t>(octets_.size()); }

  absl::Status ReadAt(int64_t offset, size_t count, char* to) const override {
    if (offset < 0 || offset > size() || static_cast<int64_t>(count) > size() - offset) {
      return Short();
    }
    std::copy_n(octets_.data() + offset, count, to);
    return absl::OkStatus();
  }

 private:
  const absl::string_view octets_;
};

}  // namespace

absl::StatusOr<std::string> ByteSource::Read(int64_t offset, size_t count) const {
  const int64_t left = offset > size() ? 0 : size() - offset;
  std::string octets(std::min(count, static_cast<size_t>(left)), '\0');
  RETURN_IF_ERROR(ReadAt(offset, octets.size(), octets.data()));
  return octets;
}

absl::StatusOr<std::unique_ptr<ByteSource>> OpenFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) {
    return Error(v1::ErrorInfo::REASON_NOT_FOUND, "there is no such file");
  }
  struct stat info;
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    const std::string why = fd < 0 ? std::strerror(errno) : "not a regular file";
    if (fd >= 0) close(fd);
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot open: ", why));
  }
  return std::make_unique<File>(fd, info.st_size);
}

std::unique_ptr<ByteSource> PartOf(const ByteSource& whole, int64_t offset, int64_t size) {
  return std::make_unique<Part>(whole, offset, size);
}

std::unique_ptr<ByteSource> SourceOf(absl::string_view octets) {
  return std::make_unique<Text>(octets);
}

}  // namespace virmo::ovf
