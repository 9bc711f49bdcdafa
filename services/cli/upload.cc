// SPDX-License-Identifier: Apache-2.0
#include "services/cli/upload.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "openssl/evp.h"

#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/width.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/image_service.grpc.pb.h"

namespace virmo::cli {
namespace {

constexpr size_t kChunk = 512 * 1024;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Sha256() { EVP_MD_CTX_free(context_); }
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(const std::string& octets) { EVP_DigestUpdate(context_, octets.data(), octets.size()); }
  std::string Hex() {
    std::string digest(EVP_MAX_MD_SIZE, '\0');
    unsigned length = 0;
    EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(digest.data()), &length);
    return absl::BytesToHexString(digest.substr(0, length));
  }

 private:
  EVP_MD_CTX* context_;
};

absl::Status FileError(const std::string& path, int error) {
  const std::string message = absl::StrCat("cannot read ", path, ": ", std::strerror(error));
  if (error == ENOENT) return WithHint(Error(v1::ErrorInfo::REASON_NOT_FOUND, message), "");
  return UsageError(message);
}

absl::StatusOr<File> OpenFile(const std::string& path, int64_t* size) {
  File file(std::fopen(path.c_str(), "rbe"));
  if (file == nullptr) return FileError(path, errno);
  struct stat info = {};
  if (fstat(fileno(file.get()), &info) != 0) return FileError(path, errno);
  if (!S_ISREG(info.st_mode)) return UsageError(absl::StrCat(path, " is no regular file"));
  if (info.st_size == 0) return UsageError(absl::StrCat(path, " is empty"));
  *size = info.st_size;
  return file;
}

// Reads the file into the stream. Stops without an error when the server has closed it: Finish
// tells why.
absl::Status Send(std::FILE* file, const std::string& path, int64_t size,
                  grpc::ClientWriter<v1::UploadImageRequest>& writer, Sha256& digest,
                  Progress& progress) {
  int64_t sent = 0;
  v1::UploadImageRequest request;
  std::string& chunk = *request.mutable_chunk();
  while (true) {
    chunk.resize(kChunk);
    chunk.resize(std::fread(chunk.data(), 1, kChunk, file));
    if (std::ferror(file) != 0) return FileError(path, errno);
    if (chunk.empty()) break;
    digest.Add(chunk);
    if (!writer.Write(request)) return absl::OkStatus();
    sent += static_cast<int64_t>(chunk.size());
    progress.Set("uploading", static_cast<int>(std::min<int64_t>(100, sent * 100 / size)),
                 absl::StrCat(Bytes(sent), " of ", Bytes(size)));
  }
  if (sent == size) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID,
               absl::StrCat("cannot upload ", path, ": it changed while it was read"));
}

}  // namespace

absl::StatusOr<v1::Image> Upload(const Peer& server, const std::string& path,
                                 const v1::Image& image, absl::Time deadline, Progress& progress) {
  int64_t size = 0;
  ASSIGN_OR_RETURN(const File file, OpenFile(path, &size));
  const std::string goal = absl::StrCat("upload ", path);
  // Long enough for the largest image over a slow line; --timeout makes it shorter.
  deadline = std::min(deadline, absl::Now() + absl::Hours(24));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  v1::ImageService::Stub stub(server.channel());
  v1::Image stored;
  const auto writer = stub.UploadImage(&context, &stored);
  v1::UploadImageRequest first;
  *first.mutable_image() = image;
  first.mutable_image()->set_size_bytes(size);
  Sha256 digest;
  if (writer->Write(first)) {
    const absl::Status sent = Send(file.get(), path, size, *writer, digest, progress);
    if (!sent.ok()) {
      context.TryCancel();  // Nothing is kept of what did not end.
      (void)writer->Finish();
      return sent;
    }
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  if (!status.ok()) return server.Explain(status, goal);
  const std::string sha256 = digest.Hex();
  if (stored.sha256() != sha256) {
    return WithHint(
        Error(v1::ErrorInfo::REASON_PACKAGE_INVALID,
              absl::StrCat("cannot upload ", path, ": sent SHA-256 ", sha256, ", the server has ",
                           stored.sha256()),
              {{"sha256", sha256}}),
        absl::StrCat("delete it and try again: virmo image delete ", LastPart(image.name())));
  }
  return stored;
}

std::string ImageIdOf(absl::string_view path) {
  std::string id;
  for (const char c : LastPart(path)) {
    const char lower = absl::ascii_tolower(c);
    const bool good = absl::ascii_isalnum(lower) || lower == '.' || lower == '-';
    if (good || (!id.empty() && id.back() != '-')) id += good ? lower : '-';
  }
  id.resize(std::min<size_t>(id.size(), 63));
  while (!id.empty() && !absl::ascii_isalnum(id.back())) id.pop_back();
  while (!id.empty() && !absl::ascii_isalnum(id.front())) id.erase(0, 1);
  return id;
}

std::string MediaTypeOf(absl::string_view word) {
  if (word == "qcow2") return "application/x-qcow2";
  if (word == "raw") return "application/x-raw-disk-image";
  if (word == "ova") return "application/x-ova";
  if (word == "ovf") return "application/ovf+xml";
  return std::string(word);
}

}  // namespace virmo::cli
