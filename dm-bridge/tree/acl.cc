// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/acl.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/properties.h"
#include "dm-bridge/tree/undo_log.h"
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
absl::string_view ParentOf(absl::string_view path) {
  if (path == ".") return "";
  return path.substr(0, path.rfind('/'));
}

// Who has which right, of a correct ACL.
using Rights = std::map<std::string, std::set<std::string>>;

Rights ParseAcl(absl::string_view acl) {
  Rights rights;
  for (const absl::string_view entry : absl::StrSplit(acl, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(entry, absl::MaxSplits('=', 1));
    for (const absl::string_view id : absl::StrSplit(parts.second, '+')) {
      rights[std::string(parts.first)].insert(std::string(id));
    }
  }
  return rights;
}

std::string ToText(const Rights& rights) {
  std::vector<std::string> entries;
  for (const auto& [command, ids] : rights) {
    if (ids.empty()) continue;
    entries.push_back(
        absl::StrCat(command, "=", ids.count("*") > 0 ? "*" : absl::StrJoin(ids, "+")));
  }
  return absl::StrJoin(entries, "&");
}

}  // namespace

std::string AclOfCreator(absl::string_view inherited, absl::string_view server_id) {
  Rights rights = ParseAcl(inherited);
  for (const char* command : {"Add", "Delete", "Replace"}) {
    rights[command] = {std::string(server_id)};
  }
  return ToText(rights);
}

std::string AclWithout(absl::string_view acl, absl::string_view server_id, bool is_root) {
  Rights rights = ParseAcl(acl);
  for (auto& [command, ids] : rights) {
    const bool had = ids.erase(std::string(server_id)) > 0;
    if (had && ids.empty() && is_root) ids.insert("*");
  }
  return ToText(rights);
}

std::string AclUnion(absl::string_view a, absl::string_view b) {
  Rights rights = ParseAcl(a);
  for (auto& [command, ids] : ParseAcl(b)) rights[command].insert(ids.begin(), ids.end());
  return ToText(rights);
}

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
  return {"acl",
          {"CREATE TABLE acl (path TEXT PRIMARY KEY, value TEXT NOT NULL)",
           absl::StrCat(PropertyStore::Table(), ";", UndoLog::Table())}};
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
  const auto found = values_.find(path);
  return found == values_.end() ? "" : found->second;
}

absl::Status AclStore::Store(const std::string& path, const std::string& acl) {
  if (acl.empty()) {
    RETURN_IF_ERROR(database_.Execute("DELETE FROM acl WHERE path = ?1", {path}));
    values_.erase(path);
  } else {
    RETURN_IF_ERROR(
        database_.Execute("INSERT OR REPLACE INTO acl (path, value) VALUES (?1, ?2)", {path, acl}));
    values_[path] = acl;
  }
  return absl::OkStatus();
}

absl::Status AclStore::Set(absl::string_view path, absl::string_view acl) {
  RETURN_IF_ERROR(CheckAcl(acl));
  const bool root = path == ".";
  if (root && !AclAllows(acl, "Add", "*")) {
    return DmError(syncml::StatusCode::kCommandNotAllowed, "the root's ACL must keep Add=*");
  }
  MutexLock lock(mutex_);
  return Store(std::string(path), std::string(acl));
}

absl::Status AclStore::Forget(absl::string_view path) {
  MutexLock lock(mutex_);
  std::vector<std::string> gone;
  for (const auto& [at, acl] : values_) {
    if (at != "." && syncml::IsWithin(at, path)) gone.push_back(at);
  }
  for (const std::string& at : gone) RETURN_IF_ERROR(Store(at, ""));
  return absl::OkStatus();
}

absl::Status AclStore::Move(const std::string& from, const std::string& to) {
  const auto moved = Within(from);
  RETURN_IF_ERROR(Forget(from));
  MutexLock lock(mutex_);
  for (const auto& [path, acl] : moved) {
    RETURN_IF_ERROR(Store(absl::StrCat(to, path.substr(from.size())), acl));
  }
  return absl::OkStatus();
}

std::vector<std::pair<std::string, std::string>> AclStore::Within(absl::string_view path) const {
  MutexLock lock(mutex_);
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [at, acl] : values_) {
    if (syncml::IsWithin(at, path)) all.emplace_back(at, acl);
  }
  return all;
}

absl::Status AclStore::Strip(absl::string_view server_id) {
  MutexLock lock(mutex_);
  std::vector<std::pair<std::string, std::string>> changed;
  for (const auto& [path, acl] : values_) {
    std::string without = AclWithout(acl, server_id, path == ".");
    if (ParseAcl(without) != ParseAcl(acl)) changed.emplace_back(path, std::move(without));
  }
  return database_.Transact([&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) -> absl::Status {
    for (const auto& [path, acl] : changed) RETURN_IF_ERROR(Store(path, acl));
    return absl::OkStatus();
  });
}

std::string AclStore::InForce(absl::string_view path) const {
  MutexLock lock(mutex_);
  for (absl::string_view at = path; !at.empty(); at = ParentOf(at)) {
    const auto found = values_.find(at);
    if (found != values_.end()) return found->second;
  }
  return "";
}

bool AclStore::Allows(absl::string_view path, absl::string_view command,
                      absl::string_view server_id) const {
  if (server_id.empty()) return true;
  MutexLock lock(mutex_);
  for (absl::string_view at = path; !at.empty(); at = ParentOf(at)) {
    const auto found = values_.find(at);
    if (found != values_.end()) return AclAllows(found->second, command, server_id);
  }
  return false;
}

}  // namespace virmo::dm_bridge
