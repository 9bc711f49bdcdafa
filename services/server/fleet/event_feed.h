// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "services/runtime/broadcast.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// What a transaction changed, to be told to watchers once it is committed.
struct Events {
  std::vector<v1::Command> commands;
  std::vector<v1::DeviceAlert> alerts;
};

// The sources of the Watch streams. Thread-safe.
class EventFeed {
 public:
  // Call after the commit: a watcher must never see what was rolled back.
  void Publish(const Events& events) {
    for (const v1::Command& command : events.commands) commands_.Publish(command);
    for (const v1::DeviceAlert& alert : events.alerts) alerts_.Publish(alert);
  }

  void Close() {
    commands_.Close();
    alerts_.Close();
  }

  Broadcast<v1::Command>& commands() { return commands_; }
  Broadcast<v1::DeviceAlert>& alerts() { return alerts_; }

 private:
  Broadcast<v1::Command> commands_;
  Broadcast<v1::DeviceAlert> alerts_;
};

}  // namespace virmo::server
