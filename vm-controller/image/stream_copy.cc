// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/stream_copy.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

constexpr size_t kChunk = 1 << 20;

class Output {
 public:
  Output(const std::string& path, int64_t max_bytes)
      : path_(path),
        max_bytes_(max_bytes),
        fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) {}
  ~Output() {
    if (fd_ >= 0) close(fd_);
    if (!kept_ && fd_ >= 0) unlink(path_.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  absl::Status Write(absl::string_view octets) {
    written_ += static_cast<int64_t>(octets.size());
    if (written_ > max_bytes_) {
      return Error(ErrorInfo::REASON_PACKAGE_INVALID,
                   "the package has a file that is larger than what it is for");
    }
    while (!octets.empty()) {
      const ssize_t count = fd_ < 0 ? -1 : write(fd_, octets.data(), octets.size());
      if (count < 0 && fd_ >= 0 && errno == EINTR) continue;
      if (count < 0) {
        return Error(errno == ENOSPC ? ErrorInfo::REASON_DOWNLOAD_STORAGE_FULL
                                     : ErrorInfo::REASON_STORAGE_FAILED,
                     absl::StrCat("cannot write ", path_, ": ", std::strerror(errno)));
      }
      octets.remove_prefix(static_cast<size_t>(count));
    }
    return absl::OkStatus();
  }
  void Keep() { kept_ = true; }

 private:
  const std::string path_;
  const int64_t max_bytes_;
  const int fd_;
  int64_t written_ = 0;
  bool kept_ = false;
};

class Inflater {
 public:
  Inflater() { ready_ = inflateInit2(&stream_, MAX_WBITS + 16) == Z_OK; }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  absl::Status Add(std::string packed, Output& output) {
    std::string plain(kChunk, '\0');
    stream_.next_in = reinterpret_cast<Bytef*>(packed.data());
    stream_.avail_in = static_cast<uInt>(packed.size());
    while (ready_ && !ended_ && stream_.avail_in > 0) {
      stream_.next_out = reinterpret_cast<Bytef*>(plain.data());
      stream_.avail_out = static_cast<uInt>(plain.size());
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result != Z_OK && result != Z_STREAM_END) return Damaged();
      RETURN_IF_ERROR(
          output.Write(absl::string_view(plain).substr(0, plain.size() - stream_.avail_out)));
      ended_ = result == Z_STREAM_END;
    }
    return absl::OkStatus();
  }
  absl::Status Finish() const { return ended_ ? absl::OkStatus() : Damaged(); }

 private:
  static absl::Status Damaged() {
    return Error(ErrorInfo::REASON_PACKAGE_INVALID, "the package has a damaged gzip file");
  }
  z_stream stream_ = {};
  bool ready_ = false;
  bool ended_ = false;
};

}  // namespace

absl::Status StreamCopy(const ovf::ByteSource& source, const std::string& path,
                        const StreamCopyOptions& options) {
  Output output(path, options.max_bytes);
  Inflater inflater;
  for (int64_t at = 0; at < source.size();) {
    if (options.is_cancelled()) {
      return Error(ErrorInfo::REASON_CANCELLED, "cancelled while unpacking the package");
    }
    ASSIGN_OR_RETURN(std::string piece, source.Read(at, kChunk));
    at += static_cast<int64_t>(piece.size());
    RETURN_IF_ERROR(options.gzip ? inflater.Add(std::move(piece), output) : output.Write(piece));
  }
  if (options.gzip) RETURN_IF_ERROR(inflater.Finish());
  output.Keep();
  return absl::OkStatus();
}

}  // namespace virmo::vm_controller
