// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace virmo::server {

// Sends one datagram to `udp:HOST:PORT` (HOST may be an IPv6 address in brackets).
// INVALID_ARGUMENT for another form, UNAVAILABLE if the host is unknown or the network refuses.
absl::Status SendDatagram(const std::string& address, absl::string_view octets);

}  // namespace virmo::server
