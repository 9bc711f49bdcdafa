// SPDX-License-Identifier: Apache-2.0
#include "services/server/images/image_library.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/ovf/inspection.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/images/media_type.h"
#include "services/server/store/page.h"

namespace virmo::server {
namespace {

namespace fs = std::filesystem;

constexpr size_t kHeadSize = 512;

absl::Status StorageError(absl::string_view what, const std::string& path) {
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(errno)));
}

absl::Status PackageInvalid(absl::string_view message) {
  return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID, message);
}

absl::StatusOr<v1::Image> Parse(const SqlRow& row) {
  v1::Image image;
  if (image.ParseFromString(row.Text(0))) return image;
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "an image's record is damaged");
}

absl::Status NotFound(const std::string& id) {
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no image ", ImageName(id)),
               {{"image", ImageName(id)}});
}

}  // namespace

struct ImageLibrary::Upload::Digest {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Digest() { EVP_DigestInit_ex(context, EVP_sha256(), nullptr); }
  ~Digest() { EVP_MD_CTX_free(context); }
  std::string Finish() {
    std::string octets(32, '\0');
    EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(octets.data()), nullptr);
    return absl::BytesToHexString(octets);
  }
};

ImageLibrary::Upload::Upload(std::string path, int file)
    : path_(std::move(path)), file_(file), digest_(std::make_unique<Digest>()) {}

ImageLibrary::Upload::~Upload() {
  if (file_ >= 0) close(file_);
  unlink(path_.c_str());  // Gone already if it was finished.
}

absl::Status ImageLibrary::Upload::Write(absl::string_view octets) {
  if (head_.size() < kHeadSize) head_.append(octets.data(), std::min(octets.size(), kHeadSize));
  EVP_DigestUpdate(digest_->context, octets.data(), octets.size());
  size_ += static_cast<int64_t>(octets.size());
  while (!octets.empty()) {
    const ssize_t written = write(file_, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return StorageError("write", path_);
    octets.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

ImageLibrary::ImageLibrary(std::string directory, Database& database, Clock clock)
    : directory_(std::move(directory)), database_(database), clock_(std::move(clock)) {}

absl::StatusOr<std::unique_ptr<ImageLibrary>> ImageLibrary::Open(const std::string& directory,
                                                                 Database& database, Clock clock) {
  std::unique_ptr<ImageLibrary> library(new ImageLibrary(directory, database, std::move(clock)));
  RETURN_IF_ERROR(MakeDirectory(directory + "/upload"));
  RETURN_IF_ERROR(MakeDirectory(directory + "/sha256"));
  RETURN_IF_ERROR(library->RemoveLeftovers());
  return library;
}

absl::Status ImageLibrary::RemoveLeftovers() {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_ + "/upload", error)) {
    unlink(entry.path().c_str());
  }
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT DISTINCT sha256 FROM image"));
  std::set<std::string> known;
  for (const SqlRow& row : rows) known.insert(row.Text(0));
  for (const auto& entry : fs::directory_iterator(directory_ + "/sha256", error)) {
    if (known.count(entry.path().filename().string()) == 0) unlink(entry.path().c_str());
  }
  return absl::OkStatus();
}

std::string ImageLibrary::PathOf(const std::string& sha256) const {
  return absl::StrCat(directory_, "/sha256/", sha256);
}

absl::Status ImageLibrary::Check(const v1::Image& told) {
  RETURN_IF_ERROR(ImageId(told.name(), "image.name").status());
  if (!told.media_type().empty() && !IsPackageType(told.media_type())) {
    return InvalidField("image.media_type", absl::StrCat("media type \"", told.media_type(),
                                                         "\" is none of ", PackageTypes()));
  }
  if (!told.sha256().empty() && !IsSha256(told.sha256())) {
    return InvalidField("image.sha256", "sha256 must be 64 lower-case hex digits");
  }
  if (told.size_bytes() < 0) return InvalidField("image.size_bytes", "size must not be negative");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ImageLibrary::Upload>> ImageLibrary::BeginUpload() {
  std::string path = absl::StrCat(directory_, "/upload/", NewUuid());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return StorageError("create", path);
  return std::unique_ptr<Upload>(new Upload(std::move(path), file));
}

absl::Status ImageLibrary::CheckUpload(const v1::Image& image, const v1::Image& told) const {
  if (image.size_bytes() == 0) return PackageInvalid("the image is empty");
  if (told.size_bytes() != 0 && told.size_bytes() != image.size_bytes()) {
    return PackageInvalid(absl::StrCat("the image has ", image.size_bytes(), " octets, not ",
                                       told.size_bytes(), " as told"));
  }
  if (!told.sha256().empty() && told.sha256() != image.sha256()) {
    return PackageInvalid(absl::StrCat("the image's SHA-256 is ", image.sha256(), ", not ",
                                       told.sha256(), " as told"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Image> ImageLibrary::Finish(std::unique_ptr<Upload> upload,
                                               const v1::Image& told) {
  RETURN_IF_ERROR(Check(told));
  ASSIGN_OR_RETURN(const std::string id, ImageId(told.name(), "image.name"));
  v1::Image image;
  image.set_name(told.name());
  image.set_size_bytes(upload->size());
  image.set_sha256(upload->digest_->Finish());
  RETURN_IF_ERROR(CheckUpload(image, told));
  ASSIGN_OR_RETURN(*image.mutable_media_type(), MediaTypeOf(upload->head_, told.media_type()));
  if (image.media_type() == "application/x-ova") {
    // What no device could take is refused here, with file, line and element.
    ovf::Findings findings;
    ovf::Inspect(upload->path_, {}, findings);
    RETURN_IF_ERROR(findings.ToStatus());
  }
  *image.mutable_create_time() = ToTimestamp(clock_());

  MutexLock lock(files_);
  ASSIGN_OR_RETURN(const auto existing, FindById(id));
  if (existing && existing->sha256() == image.sha256()) return *existing;
  if (existing) {
    return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                 absl::StrCat(told.name(),
                              " exists with other octets; delete it first, or choose "
                              "another name"),
                 {{"image", told.name()}});
  }
  if (fsync(upload->file_) != 0) return StorageError("write", upload->path_);
  const std::string path = PathOf(image.sha256());
  if (rename(upload->path_.c_str(), path.c_str()) != 0) return StorageError("make", path);
  RETURN_IF_ERROR(SyncDirectory(directory_ + "/sha256"));
  FaultPoint("upload.renamed");
  RETURN_IF_ERROR(database_.Execute("INSERT INTO image (id, sha256, resource) VALUES (?1, ?2, ?3)",
                                    {id, image.sha256(), Blob{image.SerializeAsString()}}));
  return image;
}

absl::StatusOr<std::optional<v1::Image>> ImageLibrary::FindById(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT resource FROM image WHERE id = ?1", {id}));
  if (rows.empty()) return std::optional<v1::Image>();
  ASSIGN_OR_RETURN(v1::Image image, Parse(rows[0]));
  return std::optional<v1::Image>(std::move(image));
}

absl::StatusOr<v1::Image> ImageLibrary::Get(const std::string& id) {
  ASSIGN_OR_RETURN(auto image, FindById(id));
  if (!image) return NotFound(id);
  return *std::move(image);
}

absl::StatusOr<v1::ListImagesResponse> ImageLibrary::List(int page_size,
                                                          const std::string& page_token) {
  ASSIGN_OR_RETURN(const int size, PageSize(page_size));
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT resource, id FROM image WHERE id > ?1 ORDER BY id "
                                   "LIMIT ?2",
                                   {page_token, int64_t{size} + 1}));
  v1::ListImagesResponse response;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (response.images_size() == size) {
      response.set_next_page_token(rows[i - 1].Text(1));
      break;
    }
    ASSIGN_OR_RETURN(*response.add_images(), Parse(rows[i]));
  }
  return response;
}

absl::StatusOr<v1::Image> ImageLibrary::Delete(
    const std::string& id,
    const std::function<absl::StatusOr<bool>(const std::string&)>& is_needed) {
  MutexLock lock(files_);
  v1::Image image;
  bool last = false;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(image, Get(id));
    ASSIGN_OR_RETURN(const bool needed, is_needed(image.name()));
    if (needed) {
      return Error(v1::ErrorInfo::REASON_WRONG_STATE,
                   absl::StrCat("an unfinished command needs ", image.name(),
                                "; cancel it or wait for its end"),
                   {{"image", image.name()}, {"state", "IN_USE"}});
    }
    RETURN_IF_ERROR(database_.Execute("DELETE FROM image WHERE id = ?1", {id}));
    ASSIGN_OR_RETURN(const auto others, FindByDigest(image.sha256()));
    last = !others;
    return absl::OkStatus();
  }));
  // A crash before this leaves octets without an image: the next start removes them.
  if (last) unlink(PathOf(image.sha256()).c_str());
  return image;
}

absl::StatusOr<std::optional<v1::Image>> ImageLibrary::FindByDigest(const std::string& sha256) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT resource FROM image WHERE sha256 = ?1 LIMIT 1", {sha256}));
  if (rows.empty()) return std::optional<v1::Image>();
  ASSIGN_OR_RETURN(v1::Image image, Parse(rows[0]));
  return std::optional<v1::Image>(std::move(image));
}

}  // namespace virmo::server
