// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/virtual_machine.pb.h"
#include "vm-controller/image/fetcher.h"
#include "vm-controller/image/qemu_img.h"

namespace virmo::vm_controller {

// The images that disks lie on: `images/sha256-{hex}`, each stored once for all who use it. An
// image is there only when it is whole, verified and checked. Thread-safe.
class ImageStore {
 public:
  struct Options {
    std::string directory = {};
    int64_t max_package_mib = 0;
    int64_t storage_reserve_mib = 0;
    int64_t cache_mib = 0;     // Most of what nothing uses.
    std::string anchors = {};  // PEM; signatures must lead to them. Empty: none is demanded.
  };

  struct Image {
    std::string path;  // A file; of an OVF package a folder (unpack.h).
    ImageFormat format = ImageFormat::kRaw;
    int64_t virtual_bytes = 0;
  };

  static Schema GetSchema();

  ImageStore(Database& database, Fetcher fetcher, Options options)
      : database_(database), fetcher_(std::move(fetcher)), options_(std::move(options)) {}

  // INVALID_ARGUMENT or FAILED_PRECONDITION for a package that can never become an image here.
  absl::Status CheckPackage(const v1::Package& package) const;

  // Fetches, verifies and checks, unless the image is there. Goes on where a killed process
  // stopped, at a loss of at most 1 MiB. Errors as Fetcher::Fetch, and PACKAGE_INVALID,
  // DOWNLOAD_STORAGE_FULL. What was fetched stays until Discard().
  absl::StatusOr<Image> Provide(const v1::Package& package,
                                const std::function<void(int64_t done, int64_t total)>& on_progress,
                                const std::function<bool()>& is_cancelled);

  // The image, if it is there.
  absl::StatusOr<std::optional<Image>> Find(const std::string& sha256);

  // Keeps an image that no virtual machine uses yet; until the next Unpin().
  absl::Status Pin(const std::string& sha256, bool pinned);

  // Removes what was fetched of an image that is not whole.
  absl::Status Discard(const std::string& sha256);

  // Removes images that are neither in `used` nor pinned, the longest unused first, until they
  // take no more than the cache may, and the storage reserve is free.
  absl::Status Collect(const std::set<std::string>& used);

  // What is kept, ordered by digest.
  struct Stored {
    std::string sha256;
    int64_t size_bytes = 0;  // The space it takes.
    absl::Time used;
    bool pinned = false;
  };
  absl::StatusOr<std::vector<Stored>> List();

  // Removes one that the caller knows to be unused. NOT_FOUND; BUSY while somebody works on it.
  absl::Status Remove(const std::string& sha256);

 private:
  class Claim;
  struct Row {
    int64_t durable = 0;
    bool complete = false;
    bool pinned = false;
    Image image;
  };

  absl::StatusOr<std::optional<Row>> Read(const std::string& sha256);
  absl::Status FetchPart(const v1::Package& package, int64_t offset,
                         const std::function<void(int64_t, int64_t)>& on_progress,
                         const std::function<bool()>& is_cancelled);
  absl::StatusOr<Image> FetchAndCheck(const v1::Package& package,
                                      const std::function<void(int64_t, int64_t)>& on_progress,
                                      const std::function<bool()>& is_cancelled);
  absl::StatusOr<Image> Keep(const v1::Package& package, int64_t virtual_bytes);
  absl::Status FetchVerified(const v1::Package& package,
                             const std::function<void(int64_t, int64_t)>& on_progress,
                             const std::function<bool()>& is_cancelled);
  absl::StatusOr<Image> Unpack(const v1::Package& package, const std::string& source,
                               const std::function<bool()>& is_cancelled);
  absl::StatusOr<std::string> FetchBeside(const v1::Package& package,
                                          const std::function<void(int64_t, int64_t)>& on_progress,
                                          const std::function<bool()>& is_cancelled);
  absl::Status CheckSigned(const v1::Package& package) const;
  absl::Status RemoveParts(const std::string& sha256);
  absl::StatusOr<int64_t> Offset(const std::string& key);
  absl::Status CheckRoom(int64_t bytes) const;
  std::string PartPath(const std::string& sha256) const;
  std::string ImagePath(const std::string& sha256) const;

  Database& database_;
  const Fetcher fetcher_;
  const Options options_;
  Mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> claimed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::vm_controller
