// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/time/time.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// How often a command is sent at least before it counts as failed.
inline constexpr int kMaxAttempts = 5;

// How long, from its first delivery on, a device may say "later".
inline constexpr absl::Duration kPatience = absl::Minutes(10);

// Whether a Status asks to come again: 417 (busy), 503 (a part of the device is away).
bool AsksForLater(int status);

// Whether a Status leaves a command undone for a reason that may pass: none at all (0), "later", or
// an object that arrived damaged (424).
bool MayPass(int status);

// The one rule of redelivery: a command that was sent and for a passing reason not done is sent
// again, in a later session and with the same Correlator, while it was sent fewer than kMaxAttempts
// times; or, if the device's last word was "later", its first delivery is not kPatience ago.
bool MaySendAgain(const v1::Command& command, absl::Time now);

}  // namespace virmo::server
