// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {

// Puts nodes of a TNDS document together that stand apart, each with the path to its parent.
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
    std::vector<size_t> children{};
  };

  absl::Status Put(const std::string& parent_path, size_t depth, size_t parent, TndsNode node);
  absl::StatusOr<size_t> FindOrImply(const std::string& path, size_t parent,
                                     const std::string& name);
  TndsNode Assemble(size_t slot);

  const Limits& limits_;
  std::vector<Slot> slots_ = {Slot()};  // the first is the parent of all
  std::unordered_map<std::string, size_t> by_path_;
};

}  // namespace virmo::syncml
