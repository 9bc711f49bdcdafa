// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "services/server/fleet/alert_store.h"
#include "services/server/fleet/command_queue.h"
#include "services/server/fleet/device_registry.h"
#include "services/server/fleet/event_feed.h"
#include "services/server/fleet/inventory.h"
#include "services/server/images/image_library.h"

namespace virmo::server {

// What DM sessions work on. All references outlive the sessions.
struct DmParts {
  Database& database;
  DeviceRegistry& devices;
  Inventory& inventory;
  CommandQueue& queue;
  AlertStore& alerts;
  ImageLibrary& images;
  EventFeed& feed;
  Clock clock;
  std::string server_id;   // also the name under which we prove ourselves
  std::string public_url;  // `https://dm.example.com`
  size_t max_message_bytes = 1 << 20;
  absl::Duration stale_after = absl::Minutes(15);
  std::function<void(const std::string& device)> on_session;  // an authenticated device came
};

// Where DM messages go, `…/dm`.
inline std::string DmUrl(const std::string& public_url) { return public_url + "/dm"; }

}  // namespace virmo::server
