// SPDX-License-Identifier: Apache-2.0
// Tree: interior nodes, `?prop=` and `?list=`.

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/tree.h"
#include "dm-bridge/tree/tree_impl.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

using syncml::StatusCode;

// The child of a node by its (escaped) name; nothing if it is not there.
absl::StatusOr<std::optional<Tree::Found>> Tree::Child(const Found& parent,
                                                       const std::string& name) const {
  const Kind* below = parent.kind().Below(name);
  if (below == nullptr) return std::nullopt;
  Found child = parent;
  child.uri.segments.push_back(name);
  child.uri.query = syncml::NodeUri::Query::kNone;
  child.call.uri = child.uri.Path();
  if (below == parent.kind().wildcard.get()) {
    child.call.names.push_back(syncml::UnescapeSegment(name));
  }
  child.kinds.push_back(below);
  child.existing = child.kinds.size();
  if (below->type.present) {
    ASSIGN_OR_RETURN(const bool present, below->type.present(child.call));
    if (!present) return std::nullopt;
  }
  return child;
}

// Names of the children there are now, escaped.
absl::StatusOr<std::vector<std::string>> Tree::ChildNames(const Found& found) const {
  std::vector<std::string> names;
  for (const auto& [name, kind] : found.kind().fixed) {
    ASSIGN_OR_RETURN(const auto child, Child(found, name));
    if (child) names.push_back(name);
  }
  const Kind* wildcard = found.kind().wildcard.get();
  if (wildcard == nullptr || !wildcard->type.list) return names;
  ASSIGN_OR_RETURN(const std::vector<std::string> given, wildcard->type.list(found.call));
  for (const std::string& name : given) names.push_back(syncml::EscapeSegment(name));
  return names;
}

absl::StatusOr<std::string> Tree::PropertyOf(const Found& found,
                                             const std::string& property) const {
  const NodeType& type = found.kind().type;
  const std::string path = found.uri.Path();
  if (property == "Name") return found.uri.is_root() ? "." : found.uri.segments.back();
  if (property == "Format") return std::string(Name(type.format));
  if (property == "Type") return TypeOf(type);
  if (property == "ACL") return acls_.Get(path);
  if (property == "Title" || property == "TStamp" || property == "VerNo") {
    ASSIGN_OR_RETURN(const Properties properties, properties_.Get(path));
    if (property == "Title") return properties.title;
    return property == "TStamp" ? properties.tstamp : absl::StrCat(properties.ver_no);
  }
  if (property == "Size" && !found.kind().interior() && (type.access & kGet) != 0) {
    ASSIGN_OR_RETURN(const std::string value, ReadLeaf(found));
    return absl::StrCat(value.size());
  }
  return DmError(StatusCode::kOptionalFeatureNotSupported,
                 absl::StrCat("the node has no property ", property));
}

absl::StatusOr<std::vector<NodeValue>> Tree::GetProperty(Found& found) const {
  RETURN_IF_ERROR(Resolve(found, "Get", 0));
  NodeValue value{found.uri.ToString(), Format::kChr, "text/plain", std::nullopt};
  ASSIGN_OR_RETURN(value.value, PropertyOf(found, found.uri.argument));
  return std::vector<NodeValue>{std::move(value)};
}

absl::Status Tree::Collect(const Found& found, bool with_data, std::vector<NodeValue>& to) const {
  const NodeType& type = found.kind().type;
  if ((type.access & kGet) == 0) return absl::OkStatus();
  if (!acls_.Allows(found.uri.Path(), "Get", found.call.server_id)) return absl::OkStatus();
  if (!found.kind().interior()) {
    NodeValue value{found.uri.Path(), type.format, TypeOf(type), std::nullopt};
    if (with_data) {
      ASSIGN_OR_RETURN(value, ReadNode(found));
    }
    to.push_back(std::move(value));
    return absl::OkStatus();
  }
  to.push_back({found.uri.Path(), type.format, type.type, std::nullopt});
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ChildNames(found));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto child, Child(found, name));
    if (child) RETURN_IF_ERROR(Collect(*child, with_data, to));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<NodeValue>> Tree::GetList(Found& found) const {
  RETURN_IF_ERROR(Resolve(found, "Get", kGet));
  const std::string kind = found.uri.argument;
  if (kind.rfind("TNDS", 0) == 0) return GetTnds(found);
  if (kind != "Struct" && kind != "StructData") {
    return DmError(StatusCode::kOptionalFeatureNotSupported,
                   absl::StrCat("list=", kind, " is not supported"));
  }
  found.uri.query = syncml::NodeUri::Query::kNone;
  std::vector<NodeValue> values;
  RETURN_IF_ERROR(Collect(found, kind == "StructData", values));
  return values;
}

}  // namespace virmo::dm_bridge
