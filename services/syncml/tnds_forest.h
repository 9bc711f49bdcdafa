// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {

// Puts nodes of a TNDS document together that stand apart, each with the path to its parent. No
// node's URI may be longer than a device would take: those who make a URI of each node must not
// pay for a long name once for each node below it.
class TndsForest {
 public:
  explicit TndsForest(const Limits& limits) : limits_(limits) {}

  // Adds `node` with its children below the node at `path`, which is implied until it is given.
  // InvalidArgument if a node is given twice, ResourceExhausted if a limit is hit.
  absl::Status Add(const std::vector<std::string>& path, TndsNode node);

  std::vector<TndsNode> Finish() &&;

 private:
  struct Slot {
    TndsNode node{};
    size_t parent = 0;
    size_t depth = 0;
    size_t path_size = 0;  // octets of the path from the top
    std::vector<size_t> children{};
  };

  absl::Status Put(size_t parent, TndsNode node);
  absl::StatusOr<size_t> FindOrImply(size_t parent, const std::string& name);
  std::string PathOf(size_t slot) const;
  TndsNode Assemble(size_t slot);

  const Limits& limits_;
  std::vector<Slot> slots_ = {Slot()};                        // the first is the parent of all
  std::map<std::pair<size_t, std::string>, size_t> by_name_;  // of a parent's child
};

}  // namespace virmo::syncml
