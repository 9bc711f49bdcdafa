// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/archive_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/ovf/byte_source.h"
#include "services/ovf/tar.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::ovf {
namespace {

constexpr size_t kChunk = 1 << 20;

}  // namespace

ArchiveWriter::ArchiveWriter(const std::string& path, std::function<bool()> is_cancelled)
    : path_(path),
      is_cancelled_(std::move(is_cancelled)),
      fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}

ArchiveWriter::~ArchiveWriter() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ArchiveWriter::Write(absl::string_view octets) {
  while (!octets.empty()) {
    const ssize_t count = fd_ < 0 ? -1 : write(fd_, octets.data(), octets.size());
    if (count < 0 && fd_ >= 0 && errno == EINTR) continue;
    if (count < 0) {
      return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                   absl::StrCat("cannot write ", path_, ": ", std::strerror(errno)));
    }
    octets.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status ArchiveWriter::AddText(const std::string& name, absl::string_view text) {
  const auto size = static_cast<int64_t>(text.size());
  ASSIGN_OR_RETURN(const std::string header,
                   TarHeader(name, size, absl::ToUnixSeconds(absl::Now())));
  RETURN_IF_ERROR(Write(header));
  RETURN_IF_ERROR(Write(text));
  return Write(TarPadding(size));
}

absl::Status ArchiveWriter::AddFile(const std::string& name, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> file, OpenFile(path));
  ASSIGN_OR_RETURN(const std::string header,
                   TarHeader(name, file->size(), absl::ToUnixSeconds(absl::Now())));
  RETURN_IF_ERROR(Write(header));
  for (int64_t at = 0; at < file->size();) {
    if (is_cancelled_()) {
      return Error(v1::ErrorInfo::REASON_CANCELLED, "cancelled while packing");
    }
    ASSIGN_OR_RETURN(const std::string piece, file->Read(at, kChunk));
    RETURN_IF_ERROR(Write(piece));
    at += static_cast<int64_t>(piece.size());
  }
  return Write(TarPadding(file->size()));
}

absl::Status ArchiveWriter::Finish() {
  RETURN_IF_ERROR(Write(TarEnd()));
  if (fsync(fd_) == 0) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot fsync ", path_));
}

}  // namespace virmo::ovf
