// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/sqlite.h"

namespace virmo::dm_bridge {

// What servers have set below `./VirMO/Config`; durable. Thread-safe.
class SettingsStore {
 public:
  static Schema GetSchema();

  explicit SettingsStore(Database& database) : database_(database) {}

  // The value, or `otherwise` if none was set.
  absl::StatusOr<std::string> Get(const std::string& name, const std::string& otherwise);
  absl::Status Set(const std::string& name, const std::string& value);

 private:
  Database& database_;
};

}  // namespace virmo::dm_bridge
