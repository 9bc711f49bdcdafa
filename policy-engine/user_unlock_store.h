// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "policy-engine/user_secret.h"
#include "services/runtime/sqlite.h"

namespace virmo::policy_engine {

// What is kept for the user's unlock of one virtual machine, beside its policy.
struct UserUnlockRow {
  std::string id;
  std::optional<UserSecret> secret;
  // The latest wall clock seen since the grant: a clock that is set back gives no time back.
  absl::Time latest = absl::InfinitePast();
  // The most attempts that the controller ever said it has stored.
  int64_t confirmed_total = 0;
  // Whether the alert of exhaustion was made.
  bool exhaustion_told = false;
};

// The table of them. Methods belong in a PolicyStore::Change or Read; what Save overwrites is gone
// from the files after PolicyStore::ScrubAfterCommit.
class UserUnlockStore {
 public:
  explicit UserUnlockStore(Database& database) : database_(database) {}

  // An empty row if there is none.
  absl::StatusOr<UserUnlockRow> Load(const std::string& id);
  absl::StatusOr<std::vector<UserUnlockRow>> List();
  absl::Status Save(const UserUnlockRow& row);

 private:
  Database& database_;
};

}  // namespace virmo::policy_engine
