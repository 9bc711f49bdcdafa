// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/sqlite.h"

namespace virmo::dm_bridge {

// Properties that the tree keeps of a node (OMA-TS-DM_TND §7.7), besides its ACL.
struct Properties {
  std::string title = {};   // At most 255 octets.
  std::string tstamp = {};  // Of the last change by a server, `20250101T120000Z`; empty: none yet.
  uint16_t ver_no = 0;      // Counts those changes, FFFF is followed by 0000.

  bool operator==(const Properties&) const = default;
};

// The properties of nodes, by path (`./A/B`); durable. Nodes that no server has changed take no
// room. Thread-safe.
class PropertyStore {
 public:
  static constexpr size_t kMaxTitle = 255;

  // SQL that makes its table.
  static absl::string_view Table();

  explicit PropertyStore(Database& database) : database_(database) {}

  absl::StatusOr<Properties> Get(const std::string& path);
  absl::Status Set(const std::string& path, const Properties& properties);

  // A server changed the node: TStamp and VerNo follow.
  absl::Status OnChange(const std::string& path);

  // Forgets those of a node and of all below it; gives those of another name's node to this one.
  absl::Status Forget(const std::string& path);
  absl::Status Move(const std::string& from, const std::string& to);

  // Of a node and of all below it, with their paths.
  absl::StatusOr<std::vector<std::pair<std::string, Properties>>> Within(const std::string& path);

 private:
  Database& database_;
};

}  // namespace virmo::dm_bridge
