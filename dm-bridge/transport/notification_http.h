// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dm-bridge/transport/notification_gate.h"

namespace virmo::dm_bridge {

// Receives package #0 by HTTP POST (`application/vnd.syncml.notification`), on a thread of its own,
// and hands it to the gate. Answers 202 to one that begins a session, and to a repeat of it; 403 if
// it is not for us, or forged; 400 if it is no notification; 405, 413, 415, 431 as HTTP says. A
// connection serves one request and has a few seconds for it in all, however slowly it drips; there
// are few at a time, more are closed at once.
class NotificationHttp {
 public:
  struct Limits {
    size_t max_connections = 16;
    size_t max_header_bytes = 4096;
    size_t max_body_bytes = 4096;
    absl::Duration timeout = absl::Seconds(5);
  };

  // `address` is `HOST:PORT`, numeric or `localhost`. INVALID_ARGUMENT if it cannot be bound.
  static absl::StatusOr<std::unique_ptr<NotificationHttp>> Start(const std::string& address,
                                                                 NotificationGate& gate,
                                                                 const Limits& limits);
  ~NotificationHttp();
  NotificationHttp(const NotificationHttp&) = delete;
  NotificationHttp& operator=(const NotificationHttp&) = delete;

  int port() const;

 private:
  class Impl;
  explicit NotificationHttp(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace virmo::dm_bridge
