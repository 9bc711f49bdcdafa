// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "services/server/dm/dm_handler.h"
#include "services/server/dm/dm_parts.h"
#include "services/server/fleet/command_validator.h"
#include "services/server/fleet/fleet_service.h"

namespace virmo::server {

// What rests in the state folder, opened.
struct Foundation {
  // Makes what is missing. DATA_LOSS for a damaged database, or one whose key file is gone.
  static absl::StatusOr<Foundation> Open(const std::string& folder, const Clock& clock);

  std::unique_ptr<Database> database;
  std::unique_ptr<SecretBox> secrets;
  std::unique_ptr<ImageLibrary> images;
  std::unique_ptr<KeyEscrow> escrow;
};

struct FleetOptions {
  std::string server_id = "virmo-server";
  std::string public_url;
  size_t max_message_bytes = 1 << 20;
  size_t max_object_bytes = 16 << 20;
  bool allow_basic = false;
  int lockout_failures = 10;
  absl::Duration stale_after = absl::Minutes(15);
};

// The server's stores and DM half on a foundation, without network.
struct FleetParts {
  using OnDevice = std::function<void(const std::string& device)>;

  // `on_session` and `on_deferred` as in DmParts.
  FleetParts(Foundation foundation, const FleetOptions& options, const Clock& clock,
             OnDevice on_session, OnDevice on_deferred);

  // What FleetService works on. `on_queued`: a command waits for the device.
  FleetService::Parts ForService(const FleetOptions& options, OnDevice on_queued);

  Foundation base;
  EventFeed feed;
  DeviceRegistry devices;
  Inventory inventory;
  CommandQueue queue;
  AlertStore alerts;
  Lockout lockout;
  CommandValidator validator;
  DmParts dm;
  DmHandler handler;
};

}  // namespace virmo::server
