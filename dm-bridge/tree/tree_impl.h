// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dm-bridge/tree/tree.h"

// Inside of Tree, shared by its source files only.
namespace virmo::dm_bridge {

// A kind of node with the kinds below it.
struct Tree::Kind {
  NodeType type;
  std::vector<std::pair<std::string, std::unique_ptr<Kind>>> fixed;  // In the table's order.
  std::unique_ptr<Kind> wildcard;

  bool interior() const { return type.format == Format::kNode; }
  const Kind* Below(const std::string& name) const;
  Kind& MakeBelow(const std::string& name);
};

// Where a URI leads: the kinds along the path, as far as the table knows them, and how many of
// them exist now. kinds[0] is the root.
struct Tree::Found {
  syncml::NodeUri uri;
  std::vector<const Kind*> kinds;
  size_t existing = 1;
  Call call;

  bool known() const { return kinds.size() == uri.segments.size() + 1; }
  bool exists() const { return known() && existing == kinds.size(); }
  const Kind& kind() const { return *kinds.back(); }
  std::string PathOf(size_t count) const;  // of the first `count` kinds
};

// A node of a TNDS document that is added or replaced, with where it goes.
struct Tree::Entry {
  std::string uri;
  syncml::TndsNode node;              // Without its children,
  std::vector<std::string> children;  // but for their names.
  bool must_be_new = false;           // Add: it is the topmost.
  std::string server_id;              // Who is taken to ask.
};

}  // namespace virmo::dm_bridge
