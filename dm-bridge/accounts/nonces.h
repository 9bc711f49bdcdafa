// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace virmo::dm_bridge {

// What the next credentials of an account are made with, as octets.
struct Nonces {
  // From the server, for our credentials; nothing: none known, the server will challenge.
  std::optional<std::string> client;
  // From us, for the server's credentials. Two while it is not known whether the newer one (the
  // first) reached the server.
  std::vector<std::string> server;

  bool operator==(const Nonces&) const = default;
};

}  // namespace virmo::dm_bridge
