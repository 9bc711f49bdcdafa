// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/clock.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/image_service.pb.h"

namespace virmo::server {

// The packages that devices fetch: octets in files named by their SHA-256, so that the same octets
// are stored once; descriptions in the database. An image exists from the commit of its
// description on; whatever a crash leaves beside is removed by Open. Thread-safe.
class ImageLibrary {
 public:
  // Octets on their way in. Hashes while writing; removes its file if it is not finished.
  class Upload {
   public:
    ~Upload();
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;

    // RESOURCE_EXHAUSTED (STORAGE_FAILED) if the disk is full.
    absl::Status Write(absl::string_view octets);
    int64_t size() const { return size_; }

   private:
    friend class ImageLibrary;
    struct Digest;
    Upload(std::string path, int file);

    const std::string path_;
    int file_;
    const std::unique_ptr<Digest> digest_;
    int64_t size_ = 0;
    std::string head_;  // the first octets, which tell the media type
  };

  // Uses the folder `directory`, making it if needed. Removes unfinished uploads and octets that
  // no image has.
  static absl::StatusOr<std::unique_ptr<ImageLibrary>> Open(const std::string& directory,
                                                            Database& database, Clock clock);

  // Checks what is told of an image: INVALID_ARGUMENT.
  static absl::Status Check(const v1::Image& told);

  absl::StatusOr<std::unique_ptr<Upload>> BeginUpload();

  // Keeps the upload as the image `told.name`. FAILED_PRECONDITION (PACKAGE_INVALID) if digest,
  // size or media type told does not match; ALREADY_EXISTS if the name stands for other octets. The
  // same octets again: the first image.
  absl::StatusOr<v1::Image> Finish(std::unique_ptr<Upload> upload, const v1::Image& told);

  // NOT_FOUND for an unknown one. `uri` is left to the caller.
  absl::StatusOr<v1::Image> Get(const std::string& id);
  absl::StatusOr<v1::ListImagesResponse> List(int page_size, const std::string& page_token);

  // `is_needed(image name)` is asked in the same transaction; FAILED_PRECONDITION (WRONG_STATE)
  // if it says so.
  absl::StatusOr<v1::Image> Delete(
      const std::string& id,
      const std::function<absl::StatusOr<bool>(const std::string&)>& is_needed);

  // A finished image by its digest, for download.
  absl::StatusOr<std::optional<v1::Image>> FindByDigest(const std::string& sha256);
  std::string PathOf(const std::string& sha256) const;

 private:
  ImageLibrary(std::string directory, Database& database, Clock clock);
  absl::Status RemoveLeftovers();
  absl::Status CheckUpload(const v1::Image& image, const v1::Image& told) const;
  absl::StatusOr<std::optional<v1::Image>> FindById(const std::string& id);

  const std::string directory_;
  Database& database_;
  const Clock clock_;
  Mutex files_;  // held while a file and its description are made or removed
};

}  // namespace virmo::server
