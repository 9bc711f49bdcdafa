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
#include "services/server/fleet/key_escrow.h"
#include "services/server/fleet/lockout.h"
#include "services/server/images/image_library.h"
#include "services/server/store/secret_box.h"

namespace virmo::server {

// What DM sessions work on. All references outlive the sessions.
struct DmParts {
  Database& database;
  const SecretBox& secrets;
  DeviceRegistry& devices;
  Inventory& inventory;
  CommandQueue& queue;
  AlertStore& alerts;
  ImageLibrary& images;
  Lockout& lockout;
  KeyEscrow& escrow;
  EventFeed& feed;
  Clock clock;
  std::string server_id;   // also the name under which we prove ourselves
  std::string public_url;  // `https://dm.example.com`
  size_t max_message_bytes = 1 << 20;
  size_t max_object_bytes = 16 << 20;
  bool allow_basic = false;
  absl::Duration stale_after = absl::Minutes(15);
  std::function<void(const std::string& device)> on_session;   // an authenticated device came
  std::function<void(const std::string& device)> on_deferred;  // it shall come again, before long
};

// Where DM messages go, `…/dm`.
inline std::string DmUrl(const std::string& public_url) { return public_url + "/dm"; }

}  // namespace virmo::server
