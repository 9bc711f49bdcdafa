// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/runtime/sqlite.h"

namespace virmo::server {

// Makes those wait who guess a device's credentials: after `free_guesses` wrong ones in a row 30 s,
// then twice as long after each more, up to an hour. By the device URI that was claimed, whether
// such a device is enrolled or not, so that the wait tells nothing. Durable when the (caller's)
// transaction is. Thread-safe.
class Lockout {
 public:
  Lockout(Database& database, int free_guesses)
      : database_(database), free_guesses_(free_guesses) {}

  // How long this device URI still has to wait; zero if it may try.
  absl::StatusOr<absl::Duration> Wait(const std::string& device_uri, absl::Time now);
  // Whether it was made to wait since its last success.
  absl::StatusOr<bool> IsSuspect(const std::string& device_uri);
  // Counts a wrong guess; the wait that it brought, zero if none.
  absl::StatusOr<absl::Duration> Failed(const std::string& device_uri, absl::Time now);
  // Right credentials: all is forgiven.
  absl::Status Succeeded(const std::string& device_uri);

 private:
  absl::Status MakeRoom();

  Database& database_;
  const int free_guesses_;
};

}  // namespace virmo::server
