// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"

namespace virmo::dm_bridge {

inline constexpr absl::string_view kRootAcl = "Add=*&Get=*&Replace=*&Delete=*&Exec=*";

// Checks the grammar of an ACL value (OMA-TS-DM_TND §7.7.1): `Cmd=ids&Cmd=ids`, ids joined by
// `+`. An empty one is right.
absl::Status CheckAcl(absl::string_view acl);

// Whether a (correct) ACL value gives `command`, such as `Get`, to a server.
bool AclAllows(absl::string_view acl, absl::string_view command, absl::string_view server_id);

// The ACLs that servers have set, by node path (`./A/B`); durable. A node without one uses the
// whole value of its nearest ancestor that has one. Thread-safe.
class AclStore {
 public:
  static Schema GetSchema();

  // Reads what is stored.
  static absl::StatusOr<std::unique_ptr<AclStore>> Open(Database& database);

  // The node's own value; empty if it inherits.
  std::string Get(absl::string_view path) const;

  // Sets the node's own value; empty: it inherits from now on. The root keeps a value always.
  absl::Status Set(absl::string_view path, absl::string_view acl);

  // Forgets the ACLs of a deleted node and of all below it.
  absl::Status Forget(absl::string_view path);

  // Whether `server_id` may do `command` on the node. An empty server_id may do everything.
  bool Allows(absl::string_view path, absl::string_view command, absl::string_view server_id) const;

 private:
  explicit AclStore(Database& database) : database_(database) {}

  Database& database_;
  mutable Mutex mutex_;
  std::map<std::string, std::string> values_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::dm_bridge
