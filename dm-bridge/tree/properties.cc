// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/properties.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

// `path` itself and what begins with `path/`: '0' follows '/' in ASCII.
constexpr char kWithin[] = "path = ?1 OR (path >= ?1 || '/' AND path < ?1 || '0')";

Properties ReadRow(const SqlRow& row, size_t first) {
  return {.title = row.Text(first),
          .tstamp = row.Text(first + 1),
          .ver_no = static_cast<uint16_t>(row.Int(first + 2))};
}

}  // namespace

absl::string_view PropertyStore::Table() {
  return "CREATE TABLE property (path TEXT PRIMARY KEY, title TEXT NOT NULL, tstamp TEXT NOT NULL,"
         " ver_no INTEGER NOT NULL)";
}

absl::StatusOr<Properties> PropertyStore::Get(const std::string& path) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT title, tstamp, ver_no FROM property WHERE path = ?1", {path}));
  return rows.empty() ? Properties() : ReadRow(rows[0], 0);
}

absl::Status PropertyStore::Set(const std::string& path, const Properties& properties) {
  if (properties == Properties()) {
    return database_.Execute("DELETE FROM property WHERE path = ?1", {path});
  }
  return database_.Execute(
      "INSERT OR REPLACE INTO property (path, title, tstamp, ver_no) VALUES (?1, ?2, ?3, ?4)",
      {path, properties.title, properties.tstamp, static_cast<int64_t>(properties.ver_no)});
}

absl::Status PropertyStore::OnChange(const std::string& path) {
  ASSIGN_OR_RETURN(Properties properties, Get(path));
  properties.tstamp = absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone());
  ++properties.ver_no;
  return Set(path, properties);
}

absl::Status PropertyStore::Forget(const std::string& path) {
  return database_.Execute(absl::StrCat("DELETE FROM property WHERE ", kWithin), {path});
}

absl::Status PropertyStore::Move(const std::string& from, const std::string& to) {
  return database_.Execute(
      absl::StrCat("UPDATE property SET path = ?2 || substr(path, length(?1) + 1) WHERE ", kWithin),
      {from, to});
}

absl::StatusOr<std::vector<std::pair<std::string, Properties>>> PropertyStore::Within(
    const std::string& path) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query(
          absl::StrCat("SELECT path, title, tstamp, ver_no FROM property WHERE ", kWithin),
          {path}));
  std::vector<std::pair<std::string, Properties>> all;
  for (const SqlRow& row : rows) all.emplace_back(row.Text(0), ReadRow(row, 1));
  return all;
}

}  // namespace virmo::dm_bridge
