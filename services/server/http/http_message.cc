// SPDX-License-Identifier: Apache-2.0
#include "services/server/http/http_message.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::server {

absl::StatusOr<std::shared_ptr<const OpenFile>> OpenFile::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat about = {};
  if (file >= 0 && fstat(file, &about) == 0) {
    return std::shared_ptr<const OpenFile>(new OpenFile(file, about.st_size));
  }
  const int error = errno;
  if (file >= 0) close(file);
  return Error(
      error == ENOENT ? v1::ErrorInfo::REASON_NOT_FOUND : v1::ErrorInfo::REASON_STORAGE_FAILED,
      absl::StrCat("cannot open ", path, ": ", std::strerror(error)));
}

OpenFile::~OpenFile() { close(file_); }

int64_t OpenFile::Read(int64_t offset, char* to, int64_t size) const {
  ssize_t count = 0;
  do {
    count = pread(file_, to, static_cast<size_t>(size), offset);
  } while (count < 0 && errno == EINTR);
  return count;
}

HttpResponse TextResponse(int status, const std::string& text) {
  HttpResponse response;
  response.status = status;
  response.headers["Content-Type"] = "text/plain; charset=utf-8";
  response.body = text + "\n";
  return response;
}

}  // namespace virmo::server
