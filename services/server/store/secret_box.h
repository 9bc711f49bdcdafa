// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace virmo::server {

// Seals secrets before they go into the database, so that a stolen database does not open devices:
// AES-256-GCM with a key that lives in a file of its own (mode 0600), which backups should keep
// apart. Immutable, hence thread-safe.
class SecretBox {
 public:
  enum class IfMissing { kMakeKey, kFail };

  // Reads the key file; makes one if it is missing and `if_missing` says so. DATA_LOSS
  // (STORAGE_FAILED) if it is missing otherwise, or is no key.
  static absl::StatusOr<std::unique_ptr<SecretBox>> Open(const std::string& path,
                                                         IfMissing if_missing);

  // `context` names what the secret is for; Unseal of one thing's secret as another's fails.
  absl::StatusOr<std::string> Seal(absl::string_view secret, absl::string_view context) const;
  absl::StatusOr<std::string> Unseal(absl::string_view sealed, absl::string_view context) const;

 private:
  explicit SecretBox(std::string key) : key_(std::move(key)) {}

  const std::string key_;
};

// `bytes` random octets from the system's generator, as lower-case hex.
absl::StatusOr<std::string> RandomHex(size_t bytes);

}  // namespace virmo::server
