// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/alert_store.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/store/page.h"

namespace virmo::server {
namespace {

absl::StatusOr<v1::DeviceAlert> Parse(const SqlRow& row) {
  v1::DeviceAlert alert;
  if (alert.ParseFromString(row.Text(0))) return alert;
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "an alert's record is damaged");
}

}  // namespace

AlertStore::AlertStore(Database& database, Clock clock)
    : database_(database), clock_(std::move(clock)) {}

absl::Status AlertStore::Insert(const std::string& device, const std::string& alert_id,
                                v1::DeviceAlert& alert) {
  RETURN_IF_ERROR(database_.Execute("UPDATE counter SET value = value + 1 WHERE name = 'alert'"));
  ASSIGN_OR_RETURN(const int64_t sequence, LastSequence());
  const absl::Time now = clock_();
  alert.set_name(AlertName(device, alert_id));
  alert.set_sequence(sequence);
  *alert.mutable_receive_time() = ToTimestamp(now);
  alert.set_deliveries(1);
  return database_.Execute(
      "INSERT INTO alert (device, alert_id, sequence, receive_time, resource) VALUES (?1, ?2, ?3, "
      "?4, ?5)",
      {device, alert_id, sequence, absl::ToUnixMicros(now), Blob{alert.SerializeAsString()}});
}

absl::StatusOr<bool> AlertStore::Add(const std::string& device, const std::string& alert_id,
                                     v1::DeviceAlert alert, Events& events) {
  bool is_new = false;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto rows,
                     database_.Query("SELECT resource FROM alert WHERE device = ?1 AND alert_id = "
                                     "?2",
                                     {device, alert_id}));
    is_new = rows.empty();
    if (is_new) return Insert(device, alert_id, alert);
    ASSIGN_OR_RETURN(v1::DeviceAlert stored, Parse(rows[0]));
    stored.set_deliveries(stored.deliveries() + 1);
    return database_.Execute("UPDATE alert SET resource = ?3 WHERE device = ?1 AND alert_id = ?2",
                             {device, alert_id, Blob{stored.SerializeAsString()}});
  }));
  if (is_new) events.alerts.push_back(std::move(alert));
  return is_new;
}

absl::StatusOr<v1::ListDeviceAlertsResponse> AlertStore::List(const std::string& device,
                                                              int page_size,
                                                              const std::string& page_token) {
  ASSIGN_OR_RETURN(const int size, PageSize(page_size));
  ASSIGN_OR_RETURN(const int64_t after, PageNumber(page_token, 0));
  std::vector<SqlValue> arguments = {after, int64_t{size} + 1};
  if (device != "-") arguments.push_back(device);
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query(absl::StrCat("SELECT resource FROM alert WHERE sequence > ?1",
                                                device == "-" ? "" : " AND device = ?3",
                                                " ORDER BY sequence LIMIT ?2"),
                                   arguments));
  v1::ListDeviceAlertsResponse response;
  for (const SqlRow& row : rows) {
    if (response.alerts_size() == size) {
      response.set_next_page_token(absl::StrCat(response.alerts(size - 1).sequence()));
      break;
    }
    ASSIGN_OR_RETURN(*response.add_alerts(), Parse(row));
  }
  return response;
}

absl::StatusOr<int64_t> AlertStore::LastSequence() {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT value FROM counter WHERE name = 'alert'"));
  return rows[0].Int(0);
}

}  // namespace virmo::server
