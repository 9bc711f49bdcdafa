// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/undo_log.h"

#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

absl::string_view UndoLog::Table() {
  return "CREATE TABLE undo (id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL,"
         " uri TEXT NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL, server_id TEXT NOT NULL)";
}

absl::Status UndoLog::Append(std::vector<UndoStep>& steps) {
  return database_.Transact([&]() -> absl::Status {
    for (UndoStep& step : steps) {
      RETURN_IF_ERROR(database_.Execute(
          "INSERT INTO undo (kind, uri, before, after, server_id) VALUES (?1, ?2, ?3, ?4, ?5)",
          {static_cast<int64_t>(step.kind), step.uri, Blob{step.before}, Blob{step.after},
           step.server_id}));
      ASSIGN_OR_RETURN(const std::vector<SqlRow> id, database_.Query("SELECT last_insert_rowid()"));
      step.id = id[0].Int(0);
    }
    return absl::OkStatus();
  });
}

absl::Status UndoLog::SetAfter(int64_t id, const std::string& after) {
  return database_.Execute("UPDATE undo SET after = ?2 WHERE id = ?1", {id, Blob{after}});
}

absl::Status UndoLog::Remove(int64_t id) {
  return database_.Execute("DELETE FROM undo WHERE id = ?1", {id});
}

absl::Status UndoLog::Clear() { return database_.Execute("DELETE FROM undo"); }

absl::StatusOr<std::vector<UndoStep>> UndoLog::List() {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT id, kind, uri, before, after, server_id FROM undo ORDER BY id"));
  std::vector<UndoStep> steps;
  for (const SqlRow& row : rows) {
    steps.push_back({.kind = static_cast<UndoStep::Kind>(row.Int(1)),
                     .uri = row.Text(2),
                     .before = row.Text(3),
                     .after = row.Text(4),
                     .server_id = row.Text(5),
                     .id = row.Int(0)});
  }
  return steps;
}

}  // namespace virmo::dm_bridge
