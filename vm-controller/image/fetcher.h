// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace virmo::vm_controller {

// Fetches a package into a file, from http, https or file.
class Fetcher {
 public:
  struct Options {
    std::string ca_file;                           // Empty: the system's.
    std::vector<std::string> package_directories;  // Where file: packages may come from.
    int max_attempts = 5;  // In a row without a byte; each waits longer than the last.
  };

  struct Job {
    std::string uri;
    std::string path;           // The file to write to.
    int64_t offset = 0;         // What the file holds durably; it is cut to this first.
    int64_t expected_size = 0;  // 0 = unknown.
    int64_t max_size = 0;
    // Told after each MiB that is durable, with the size if it is known by now. An error ends
    // the fetch.
    std::function<absl::Status(int64_t durable, int64_t total)> on_progress;
    std::function<bool()> is_cancelled;
  };

  explicit Fetcher(Options options) : options_(std::move(options)) {}

  // INVALID_ARGUMENT for a URI that can never be fetched; `field` names it.
  absl::Status CheckUri(const std::string& uri, const std::string& field) const;

  // Fetches the rest. Goes on by range after a broken connection. What fails:
  // DOWNLOAD_UNAUTHORIZED (401, 403, 407), DOWNLOAD_SERVER_ERROR (5xx),
  // DOWNLOAD_SERVER_UNAVAILABLE (cannot connect, stalls), DOWNLOAD_FAILED (the rest),
  // PACKAGE_INVALID (not the expected size), CANCELLED, STORAGE_FAILED.
  absl::Status Fetch(const Job& job) const;

 private:
  absl::Status FetchHttp(const Job& job) const;
  absl::Status CopyFile(const Job& job) const;
  absl::Status CheckLocalPath(const std::string& path) const;

  const Options options_;
};

}  // namespace virmo::vm_controller
