// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/acl.h"

#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dm-bridge/tree/dm_error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/uri.h"

namespace virmo::dm_bridge {
namespace {

absl::Status BadAcl(absl::string_view why) {
  return DmError(syncml::StatusCode::kBadRequest, absl::StrCat("wrong ACL: ", why));
}

bool IsCommand(absl::string_view name) {
  return name == "Add" || name == "Delete" || name == "Exec" || name == "Get" || name == "Replace";
}

bool IsServerId(absl::string_view id) {
  if (id.empty()) return false;
  for (const char c : id) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c)) || c == '*') return false;
  }
  return true;
}

// `./A/B` to `./A`, `./A` to `.`; empty above the root.
std::string ParentOf(absl::string_view path) {
  if (path == ".") return "";
  return std::string(path.substr(0, path.rfind('/')));
}

}  // namespace

absl::Status CheckAcl(absl::string_view acl) {
  if (acl.empty()) return absl::OkStatus();
  std::set<absl::string_view> seen;
  for (const absl::string_view entry : absl::StrSplit(acl, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(entry, absl::MaxSplits('=', 1));
    if (!IsCommand(parts.first)) return BadAcl(absl::StrCat("no such command: ", parts.first));
    if (!seen.insert(parts.first).second) {
      return BadAcl(absl::StrCat(parts.first, " is given twice"));
    }
    if (parts.second.empty()) return BadAcl(absl::StrCat(parts.first, " names no server"));
    if (parts.second == "*") continue;
    for (const absl::string_view id : absl::StrSplit(parts.second, '+')) {
      if (!IsServerId(id) || id.find('=') != absl::string_view::npos) {
        return BadAcl(absl::StrCat("no server id: '", id, "'"));
      }
    }
  }
  return absl::OkStatus();
}

bool AclAllows(absl::string_view acl, absl::string_view command, absl::string_view server_id) {
  for (const absl::string_view entry : absl::StrSplit(acl, '&')) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(entry, absl::MaxSplits('=', 1));
    if (parts.first != command) continue;
    // Whole ids are compared: one that is part of another must not get its rights.
    for (const absl::string_view id : absl::StrSplit(parts.second, '+')) {
      if (id == "*" || id == server_id) return true;
    }
  }
  return false;
}

Schema AclStore::GetSchema() {
  return {"acl", {"CREATE TABLE acl (path TEXT PRIMARY KEY, value TEXT NOT NULL)"}};
}

absl::StatusOr<std::unique_ptr<AclStore>> AclStore::Open(Database& database) {
  std::unique_ptr<AclStore> store(new AclStore(database));
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows, database.Query("SELECT path, value FROM acl"));
  MutexLock lock(store->mutex_);
  store->values_.emplace(".", kRootAcl);
  for (const SqlRow& row : rows) store->values_[row.Text(0)] = row.Text(1);
  return store;
}

std::string AclStore::Get(absl::string_view path) const {
  MutexLock lock(mutex_);
  const auto found = values_.find(std::string(path));
  return found == values_.end() ? "" : found->second;
}

absl::Status AclStore::Set(absl::string_view path, absl::string_view acl) {
  RETURN_IF_ERROR(CheckAcl(acl));
  const bool root = path == ".";
  if (root && !AclAllows(acl, "Add", "*")) {
    return DmError(syncml::StatusCode::kCommandNotAllowed, "the root's ACL must keep Add=*");
  }
  if (acl.empty()) {
    RETURN_IF_ERROR(database_.Execute("DELETE FROM acl WHERE path = ?1", {std::string(path)}));
  } else {
    RETURN_IF_ERROR(database_.Execute("INSERT OR REPLACE INTO acl (path, value) VALUES (?1, ?2)",
                                      {std::string(path), std::string(acl)}));
  }
  MutexLock lock(mutex_);
  if (acl.empty()) {
    values_.erase(std::string(path));
  } else {
    values_[std::string(path)] = std::string(acl);
  }
  return absl::OkStatus();
}

absl::Status AclStore::Forget(absl::string_view path) {
  MutexLock lock(mutex_);
  for (auto at = values_.begin(); at != values_.end();) {
    if (at->first == "." || !syncml::IsWithin(at->first, path)) {
      ++at;
      continue;
    }
    RETURN_IF_ERROR(database_.Execute("DELETE FROM acl WHERE path = ?1", {at->first}));
    at = values_.erase(at);
  }
  return absl::OkStatus();
}

bool AclStore::Allows(absl::string_view path, absl::string_view command,
                      absl::string_view server_id) const {
  if (server_id.empty()) return true;
  MutexLock lock(mutex_);
  for (std::string at(path); !at.empty(); at = ParentOf(at)) {
    const auto found = values_.find(at);
    if (found != values_.end()) return AclAllows(found->second, command, server_id);
  }
  return false;
}

}  // namespace virmo::dm_bridge
