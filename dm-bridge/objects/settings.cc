// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/settings.h"

#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

Schema SettingsStore::GetSchema() {
  return {"settings", {"CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)"}};
}

absl::StatusOr<std::string> SettingsStore::Get(const std::string& name,
                                               const std::string& otherwise) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT value FROM setting WHERE name = ?1", {name}));
  return rows.empty() ? otherwise : rows[0].Text(0);
}

absl::Status SettingsStore::Set(const std::string& name, const std::string& value) {
  return database_.Execute("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)",
                           {name, value});
}

}  // namespace virmo::dm_bridge
