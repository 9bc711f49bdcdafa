// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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

// The ACL of an interior node that `server_id` makes below a node whose ACL in force is `inherited`
// and does not give it Replace (§7.7.1.3): it may add to, delete and replace what it made; who may
// Get and Exec stays as it was.
std::string AclOfCreator(absl::string_view inherited, absl::string_view server_id);

// `acl` without a server; a command that is left without any goes, in the root's (`is_root`) it
// becomes `*`.
std::string AclWithout(absl::string_view acl, absl::string_view server_id, bool is_root);

// Both together: who has a right in either has it.
std::string AclUnion(absl::string_view a, absl::string_view b);

// The ACLs that servers have set, by node path (`./A/B`); durable. A node without one uses the
// whole value of its nearest ancestor that has one. Thread-safe.
class AclStore {
 public:
  // The tables of the tree: ACLs, other properties, the undo log.
  static Schema GetSchema();

  // Reads what is stored.
  static absl::StatusOr<std::unique_ptr<AclStore>> Open(Database& database);

  // The node's own value; empty if it inherits.
  std::string Get(absl::string_view path) const;

  // Sets the node's own value; empty: it inherits from now on. The root keeps a value always.
  absl::Status Set(absl::string_view path, absl::string_view acl);

  // Forgets the ACLs of a deleted node and of all below it.
  absl::Status Forget(absl::string_view path);

  // Gives the ACLs of a node and of all below it to another path.
  absl::Status Move(const std::string& from, const std::string& to);

  // Of a node and of all below it, with their paths.
  std::vector<std::pair<std::string, std::string>> Within(absl::string_view path) const;

  // The value in force on the node: its own, or that of the nearest ancestor with one.
  std::string InForce(absl::string_view path) const;

  // Takes a server whose account is gone out of every ACL.
  absl::Status Strip(absl::string_view server_id);

  // Where they are stored.
  Database& database() const { return database_; }

  // Whether `server_id` may do `command` on the node. An empty server_id may do everything.
  bool Allows(absl::string_view path, absl::string_view command, absl::string_view server_id) const;

 private:
  explicit AclStore(Database& database) : database_(database) {}
  absl::Status Store(const std::string& path, const std::string& acl)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Database& database_;
  mutable Mutex mutex_;
  std::map<std::string, std::string, std::less<>> values_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::dm_bridge
