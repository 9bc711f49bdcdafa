// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/lockout.h"

#include <algorithm>

#include "services/runtime/status_macros.h"

namespace virmo::server {
namespace {

constexpr absl::Duration kFirstWait = absl::Seconds(30);
constexpr absl::Duration kLongestWait = absl::Hours(1);
constexpr int64_t kMaxRecords = 10000;

}  // namespace

absl::StatusOr<absl::Duration> Lockout::Wait(const std::string& device_uri, absl::Time now) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT blocked_until FROM lockout WHERE device_uri = ?1", {device_uri}));
  if (rows.empty()) return absl::ZeroDuration();
  // A clock that was set back must not lock a device out for years.
  return std::clamp(absl::FromUnixMicros(rows[0].Int(0)) - now, absl::ZeroDuration(), kLongestWait);
}

absl::StatusOr<bool> Lockout::IsSuspect(const std::string& device_uri) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT failures FROM lockout WHERE device_uri = ?1", {device_uri}));
  return !rows.empty() && rows[0].Int(0) >= free_guesses_;
}

absl::StatusOr<absl::Duration> Lockout::Failed(const std::string& device_uri, absl::Time now) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT failures FROM lockout WHERE device_uri = ?1", {device_uri}));
  if (rows.empty()) RETURN_IF_ERROR(MakeRoom());
  const int64_t failures = rows.empty() ? 1 : rows[0].Int(0) + 1;
  absl::Duration wait = absl::ZeroDuration();
  if (failures >= free_guesses_) {
    const int doublings = static_cast<int>(std::min<int64_t>(failures - free_guesses_, 10));
    wait = std::min(kFirstWait * (1 << doublings), kLongestWait);
  }
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO lockout (device_uri, failures, blocked_until, update_time) VALUES (?1, ?2, ?3, "
      "?4) ON CONFLICT (device_uri) DO UPDATE SET failures = excluded.failures, blocked_until = "
      "excluded.blocked_until, update_time = excluded.update_time",
      {device_uri, failures,
       wait > absl::ZeroDuration() ? absl::ToUnixMicros(now + wait) : int64_t{0},
       absl::ToUnixMicros(now)}));
  return wait;
}

absl::Status Lockout::Succeeded(const std::string& device_uri) {
  return database_.Execute("DELETE FROM lockout WHERE device_uri = ?1", {device_uri});
}

// Invented device URIs must neither fill the table nor push a real device's count out of it.
absl::Status Lockout::MakeRoom() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT COUNT(*) FROM lockout"));
  if (rows[0].Int(0) < kMaxRecords) return absl::OkStatus();
  return database_.Execute(
      "DELETE FROM lockout WHERE device_uri IN (SELECT device_uri FROM lockout WHERE device_uri "
      "NOT IN (SELECT device_uri FROM device) ORDER BY update_time LIMIT 64)");
}

}  // namespace virmo::server
