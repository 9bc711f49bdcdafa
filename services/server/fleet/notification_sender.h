// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace virmo::server {

// INVALID_ARGUMENT, saying why, if it is neither `udp:HOST:PORT` (HOST may be an IPv6 address in
// brackets) nor an http(s) URL.
absl::Status CheckAddress(const std::string& address);

// Sends package #0 to such an address: as one datagram, or by HTTP POST (which must be answered 2xx
// within seconds; redirections are not followed). Blocks that long. UNAVAILABLE if the device is
// not reached.
absl::Status SendNotification(const std::string& address, const std::string& octets);

}  // namespace virmo::server
