// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dm-bridge/transport/notification_gate.h"

namespace virmo::dm_bridge {

// Receives package #0 over UDP, on a thread of its own, and hands on what the gate accepts. The
// rest is ignored, and logged at most once a second.
class NotificationListener {
 public:
  using Handler = std::function<void(const NotificationGate::Accepted&)>;

  // `address` is `HOST:PORT`, numeric or `localhost`. INVALID_ARGUMENT if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<NotificationListener>> Start(const std::string& address,
                                                                     AccountStore& accounts,
                                                                     Handler handler);
  ~NotificationListener();
  NotificationListener(const NotificationListener&) = delete;
  NotificationListener& operator=(const NotificationListener&) = delete;

  int port() const { return port_; }

 private:
  NotificationListener(int socket, int port, AccountStore& accounts, Handler handler);
  void Run();
  void Receive();

  const int socket_;
  const int port_;
  int stop_event_;
  NotificationGate gate_;
  const Handler handler_;
  absl::Time logged_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace virmo::dm_bridge
