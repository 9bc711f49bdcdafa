// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "services/server/fleet/event_feed.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/fleet_service.pb.h"

namespace virmo::server {

// The alerts that devices sent: each stored once by (device, alert id), numbered in the order of
// arrival. Thread-safe; takes part in a caller's transaction.
class AlertStore {
 public:
  AlertStore(Database& database, Clock clock);

  // Stores it with the next sequence number; a repeat is counted as a delivery and changes nothing
  // else. Returns whether it is new.
  absl::StatusOr<bool> Add(const std::string& device, const std::string& alert_id,
                           v1::DeviceAlert alert, Events& events);

  // In order of arrival; `device` "-" = all.
  absl::StatusOr<v1::ListDeviceAlertsResponse> List(const std::string& device, int page_size,
                                                    const std::string& page_token);

  // The number of the newest alert; 0 if there never was one.
  absl::StatusOr<int64_t> LastSequence();

 private:
  absl::Status Insert(const std::string& device, const std::string& alert_id,
                      v1::DeviceAlert& alert);

  Database& database_;
  const Clock clock_;
};

}  // namespace virmo::server
