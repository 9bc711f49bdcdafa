// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "vm-controller/image/fetcher.h"

namespace virmo::vm_controller {

// The file that a package is fetched into: bounded, and durable after every MiB and every half
// second, so that a crash costs at most that much. Its errors are as those of Fetcher::Fetch. Not
// thread-safe.
class PackageFile {
 public:
  // Opens the job's file and cuts it to the job's offset. `job` must outlive it.
  static absl::StatusOr<std::unique_ptr<PackageFile>> Open(const Fetcher::Job& job);
  ~PackageFile();
  PackageFile(const PackageFile&) = delete;
  PackageFile& operator=(const PackageFile&) = delete;

  int64_t size() const { return size_; }

  // The server sends the whole again: begins anew.
  absl::Status Restart();

  // The size that the whole will have. Fails if it is not the expected one, or too large.
  absl::Status SetTotal(int64_t total);

  absl::Status Append(absl::string_view data);

  // CANCELLED if so.
  absl::Status CheckCancelled() const;

  // Makes durable what is there, and tells of it.
  absl::Status Sync();

  // As Sync; PACKAGE_INVALID if the size is not the expected one.
  absl::Status Finish();

 private:
  PackageFile(const Fetcher::Job& job, int fd);
  absl::Status CheckSize(int64_t size) const;

  const Fetcher::Job& job_;
  const int fd_;
  int64_t size_;
  int64_t durable_;
  int64_t total_;
  absl::Time told_ = absl::InfinitePast();
};

}  // namespace virmo::vm_controller
