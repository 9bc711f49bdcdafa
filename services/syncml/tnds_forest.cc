// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tnds_forest.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"

namespace virmo::syncml {

absl::Status TndsForest::Add(const std::vector<std::string>& path, TndsNode node) {
  size_t parent = 0;
  std::string parent_path;
  for (const std::string& name : path) {
    absl::StrAppend(&parent_path, "/", name);
    ASSIGN_OR_RETURN(parent, FindOrImply(parent_path, parent, name));
  }
  return Put(parent_path, path.size() + 1, parent, std::move(node));
}

absl::StatusOr<size_t> TndsForest::FindOrImply(const std::string& path, size_t parent,
                                               const std::string& name) {
  const auto [found, is_new] = by_path_.emplace(path, slots_.size());
  if (!is_new) return found->second;
  if (slots_.size() > limits_.max_elements) {
    return absl::ResourceExhaustedError(absl::StrCat("more than ", limits_.max_elements, " nodes"));
  }
  slots_[parent].children.push_back(slots_.size());
  slots_.push_back({.node = {.name = name, .is_implied = true}});
  return found->second;
}

absl::Status TndsForest::Put(const std::string& parent_path, size_t depth, size_t parent,
                             TndsNode node) {
  if (depth > static_cast<size_t>(limits_.max_depth)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("nodes nested deeper than ", limits_.max_depth));
  }
  const std::string path = absl::StrCat(parent_path, "/", node.name);
  ASSIGN_OR_RETURN(const size_t slot, FindOrImply(path, parent, node.name));
  if (!slots_[slot].node.is_implied) {
    return absl::InvalidArgumentError(absl::StrCat("node .", path, " is given twice"));
  }
  std::vector<TndsNode> children = std::move(node.children);
  node.children.clear();
  slots_[slot].node = std::move(node);
  for (TndsNode& child : children) {
    RETURN_IF_ERROR(Put(path, depth + 1, slot, std::move(child)));
  }
  return absl::OkStatus();
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
