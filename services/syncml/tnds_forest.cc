// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tnds_forest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"

namespace virmo::syncml {

namespace {

constexpr size_t kMaxPathSize = 2048;

}  // namespace

absl::Status TndsForest::Add(const std::vector<std::string>& path, TndsNode node) {
  size_t parent = 0;
  for (const std::string& name : path) {
    ASSIGN_OR_RETURN(parent, FindOrImply(parent, name));
  }
  return Put(parent, std::move(node));
}

absl::StatusOr<size_t> TndsForest::FindOrImply(size_t parent, const std::string& name) {
  const auto [found, is_new] = by_name_.emplace(std::pair(parent, name), slots_.size());
  if (!is_new) return found->second;
  if (slots_.size() > limits_.max_elements) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", limits_.max_elements, " nodes"));
  }
  const size_t depth = slots_[parent].depth + 1;
  if (depth > static_cast<size_t>(limits_.max_depth)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("nodes nested deeper than ", limits_.max_depth));
  }
  const size_t path_size = slots_[parent].path_size + 1 + name.size();
  if (path_size > kMaxPathSize) {
    return absl::ResourceExhaustedError(
        absl::StrCat("a node URI of more than ", kMaxPathSize, " octets"));
  }
  slots_[parent].children.push_back(slots_.size());
  slots_.push_back({.node = {.name = name, .is_implied = true},
                    .parent = parent,
                    .depth = depth,
                    .path_size = path_size});
  return found->second;
}

absl::Status TndsForest::Put(size_t parent, TndsNode node) {
  ASSIGN_OR_RETURN(const size_t slot, FindOrImply(parent, node.name));
  if (!slots_[slot].node.is_implied) {
    return absl::InvalidArgumentError(absl::StrCat("node .", PathOf(slot), " is given twice"));
  }
  std::vector<TndsNode> children = std::move(node.children);
  node.children.clear();
  slots_[slot].node = std::move(node);
  for (TndsNode& child : children) RETURN_IF_ERROR(Put(slot, std::move(child)));
  return absl::OkStatus();
}

std::string TndsForest::PathOf(size_t slot) const {
  if (slot == 0) return "";
  return absl::StrCat(PathOf(slots_[slot].parent), "/", slots_[slot].node.name);
}

TndsNode TndsForest::Assemble(size_t slot) {
  TndsNode node = std::move(slots_[slot].node);
  node.children.reserve(slots_[slot].children.size());
  for (const size_t child : slots_[slot].children) node.children.push_back(Assemble(child));
  // Below a given node implied ones come last, as they are written: apart, after it.
  if (slot != 0 && !node.is_implied) {
    std::ranges::stable_partition(node.children,
                                  [](const TndsNode& child) { return !child.is_implied; });
  }
  return node;
}

std::vector<TndsNode> TndsForest::Finish() && { return std::move(Assemble(0).children); }

}  // namespace virmo::syncml
