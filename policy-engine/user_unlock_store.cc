// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/user_unlock_store.h"

#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

constexpr char kColumns[] =
    "SELECT id, salt, operations, memory, verifier, wrap, latest, confirmed_total,"
    " exhaustion_told FROM user_unlocks ";

UserUnlockRow RowOf(const SqlRow& columns) {
  UserUnlockRow row;
  row.id = columns.Text(0);
  if (!columns.Text(4).empty()) {
    row.secret = UserSecret{columns.Text(1), columns.Int(2), columns.Int(3), columns.Text(4),
                            columns.Text(5)};
  }
  row.latest = absl::FromUnixMillis(columns.Int(6));
  row.confirmed_total = columns.Int(7);
  row.exhaustion_told = columns.Int(8) != 0;
  return row;
}

}  // namespace

absl::StatusOr<UserUnlockRow> UserUnlockStore::Load(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows, database_.Query(std::string(kColumns) + "WHERE id = ?1", {id}));
  if (!rows.empty()) return RowOf(rows[0]);
  UserUnlockRow row;
  row.id = id;
  row.latest = absl::UnixEpoch();
  return row;
}

absl::StatusOr<std::vector<UserUnlockRow>> UserUnlockStore::List() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query(std::string(kColumns) + "ORDER BY id"));
  std::vector<UserUnlockRow> all;
  for (const SqlRow& row : rows) all.push_back(RowOf(row));
  return all;
}

absl::Status UserUnlockStore::Save(const UserUnlockRow& row) {
  const UserSecret secret = row.secret.value_or(UserSecret());
  return database_.Execute(
      "INSERT OR REPLACE INTO user_unlocks VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
      {row.id, Blob{secret.salt}, secret.operations, secret.memory, Blob{secret.verifier},
       Blob{secret.wrap}, absl::ToUnixMillis(row.latest), row.confirmed_total,
       int64_t{row.exhaustion_told}});
}

}  // namespace virmo::policy_engine
