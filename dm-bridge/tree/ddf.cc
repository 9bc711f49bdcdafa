// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/ddf.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dm-bridge/tree/value.h"

namespace virmo::dm_bridge {
namespace {

using Kinds = std::multimap<std::string, std::pair<std::string, const NodeType*>>;  // by parent

syncml::DdfOccurrence OccurrenceOf(const std::string& name, const NodeType& type) {
  if (name == "*") return syncml::DdfOccurrence::kZeroOrMore;
  return type.present ? syncml::DdfOccurrence::kZeroOrOne : syncml::DdfOccurrence::kOne;
}

// What neither a server nor the device makes or removes while it runs.
bool IsPermanent(const std::string& path, const NodeType& type) {
  return path.find('*') == std::string::npos && !type.add && !type.remove;
}

syncml::DdfNode Describe(const Kinds& kinds, const std::string& path, const std::string& name,
                         const NodeType& type) {
  syncml::DdfNode node;
  if (name != "*") node.name = name;
  node.access = {.add = (type.access & kAdd) != 0,
                 .remove = (type.access & kDelete) != 0,
                 .exec = (type.access & kExec) != 0,
                 .get = (type.access & kGet) != 0,
                 .replace = (type.access & kReplace) != 0};
  node.description = type.description;
  node.format = std::string(Name(type.format));
  node.occurrence = OccurrenceOf(name, type);
  node.scope = IsPermanent(path, type) ? syncml::DdfScope::kPermanent : syncml::DdfScope::kDynamic;
  if (type.format == Format::kNode) {
    node.ddf_name = TypeOf(type);
  } else {
    node.mime_types = {TypeOf(type)};
  }
  const auto [first, last] = kinds.equal_range(path);
  for (auto at = first; at != last; ++at) {
    const auto& [child, child_type] = at->second;
    node.children.push_back(Describe(kinds, absl::StrCat(path, "/", child), child, *child_type));
  }
  return node;
}

}  // namespace

syncml::DdfDocument DescribeTree(const Tree& tree, const std::string& manufacturer,
                                 const std::string& model) {
  Kinds kinds;
  std::vector<std::pair<std::string, const NodeType*>> top;
  for (const auto& [path, type] : tree.Kinds()) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
      top.emplace_back(path, type);
    } else {
      kinds.emplace(path.substr(0, slash), std::pair(path.substr(slash + 1), type));
    }
  }
  syncml::DdfDocument document{.man = manufacturer, .mod = model, .nodes = {}};
  for (const auto& [name, type] : top) {
    document.nodes.push_back(Describe(kinds, name, name, *type));
    document.nodes.back().path = ".";
  }
  return document;
}

}  // namespace virmo::dm_bridge
