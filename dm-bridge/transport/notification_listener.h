// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "dm-bridge/transport/notification_gate.h"

namespace virmo::dm_bridge {

// Receives package #0 over UDP, on a thread of its own, and hands it to the gate.
class NotificationListener {
 public:
  // `address` is `HOST:PORT`, numeric or `localhost`. INVALID_ARGUMENT if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<NotificationListener>> Start(const std::string& address,
                                                                     NotificationGate& gate);
  ~NotificationListener();
  NotificationListener(const NotificationListener&) = delete;
  NotificationListener& operator=(const NotificationListener&) = delete;

  int port() const { return port_; }

 private:
  NotificationListener(int socket, int port, NotificationGate& gate);
  void Run();
  void Receive();

  const int socket_;
  const int port_;
  int stop_event_;
  NotificationGate& gate_;
  std::thread thread_;
};

}  // namespace virmo::dm_bridge
