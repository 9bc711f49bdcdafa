// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/tree.h"

#include <functional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/tree_impl.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

using syncml::StatusCode;

absl::string_view Name(Format format) {
  switch (format) {
    case Format::kNode:
      return "node";
    case Format::kChr:
      return "chr";
    case Format::kInt:
      return "int";
    case Format::kBool:
      return "bool";
    case Format::kBin:
      return "bin";
    case Format::kXml:
      return "xml";
    case Format::kNull:
      return "null";
  }
  return "chr";
}

const Tree::Kind* Tree::Kind::Below(const std::string& name) const {
  for (const auto& [fixed_name, kind] : fixed) {
    if (fixed_name == name) return kind.get();
  }
  return wildcard.get();
}

Tree::Kind& Tree::Kind::MakeBelow(const std::string& name) {
  if (name == "*") {
    if (wildcard == nullptr) wildcard = std::make_unique<Kind>();
    return *wildcard;
  }
  for (auto& [fixed_name, kind] : fixed) {
    if (fixed_name == name) return *kind;
  }
  return *fixed.emplace_back(name, std::make_unique<Kind>()).second;
}

std::string Tree::Found::PathOf(size_t count) const {
  std::string path = ".";
  path.reserve(call.uri.size());
  for (size_t i = 0; i + 1 < count; ++i) absl::StrAppend(&path, "/", uri.segments[i]);
  return path;
}

Tree::Tree(AclStore& acls)
    : acls_(acls),
      properties_(acls.database()),
      undo_log_(acls.database()),
      root_(std::make_unique<Kind>()) {
  root_->type.access = kGet | kAdd;
}

Tree::~Tree() = default;

void Tree::Mount(const ManagementObject& object) {
  for (const NodeType& type : object.nodes) {
    Kind* kind = root_.get();
    for (const absl::string_view name : absl::StrSplit(object.root, '/')) {
      kind = &kind->MakeBelow(std::string(name));
    }
    for (const absl::string_view name : absl::StrSplit(type.path, '/', absl::SkipEmpty())) {
      kind = &kind->MakeBelow(std::string(name));
    }
    kind->type = type;
  }
}

std::vector<std::pair<std::string, const NodeType*>> Tree::Kinds() const {
  std::vector<std::pair<std::string, const NodeType*>> all;
  const std::function<void(const Kind&, const std::string&)> visit = [&](const Kind& kind,
                                                                         const std::string& path) {
    const auto below = [&](const std::string& name, const Kind& child) {
      const std::string child_path = path.empty() ? name : absl::StrCat(path, "/", name);
      all.emplace_back(child_path, &child.type);
      visit(child, child_path);
    };
    for (const auto& [name, child] : kind.fixed) below(name, *child);
    if (kind.wildcard != nullptr) below("*", *kind.wildcard);
  };
  visit(*root_, "");
  return all;
}

absl::StatusOr<Tree::Found> Tree::Parse(const NodeRequest& request) const {
  absl::StatusOr<syncml::NodeUri> uri = syncml::ParseNodeUri(request.uri, kLimits);
  if (!uri.ok()) {
    const bool too_long = uri.status().code() == absl::StatusCode::kOutOfRange;
    return DmError(too_long ? StatusCode::kUriTooLong : StatusCode::kBadRequest,
                   uri.status().message());
  }
  Found found;
  found.uri = *std::move(uri);
  found.kinds.reserve(found.uri.segments.size() + 1);
  found.kinds.push_back(root_.get());
  found.call.server_id = request.server_id;
  found.call.uri = found.uri.Path();
  found.call.correlator = request.correlator;
  found.call.command_key = request.command_key;
  return found;
}

// Walks down the table as far as it goes, and finds how much of that exists now.
absl::Status Tree::Locate(Found& found) const {
  bool exists = true;
  const std::string path = std::move(found.call.uri);
  size_t size = 1;  // Of the part of the path that ends here.
  for (const std::string& segment : found.uri.segments) {
    size += 1 + segment.size();
    const Kind* below = found.kinds.back()->Below(segment);
    if (below == nullptr) break;
    if (below == found.kinds.back()->wildcard.get()) {
      found.call.names.push_back(syncml::UnescapeSegment(segment));
    }
    found.kinds.push_back(below);
    if (exists && below->type.present) {
      found.call.uri = path.substr(0, size);
      ASSIGN_OR_RETURN(exists, below->type.present(found.call));
    }
    if (exists) ++found.existing;
  }
  found.call.uri = path;
  return absl::OkStatus();
}

// Finds what was parsed: that the asker may, it exists and can do what `access` says.
absl::Status Tree::Resolve(Found& found, absl::string_view command, unsigned access) const {
  if (!acls_.Allows(found.call.uri, command, found.call.server_id)) {
    return DmError(StatusCode::kPermissionDenied,
                   absl::StrCat("the ACL does not give ", command, " to ", found.call.server_id));
  }
  RETURN_IF_ERROR(Locate(found));
  const bool asked_anyway = access == kExec && found.known() && found.kind().type.exec_when_gone;
  if (!found.exists() && !asked_anyway) {
    const std::string deepest = found.PathOf(found.existing);
    return DmErrorAt(StatusCode::kNotFound,
                     absl::StrCat("no such node; the deepest that exists is ", deepest), deepest);
  }
  if (access != 0 && (found.kind().type.access & access) == 0) {
    return DmError(StatusCode::kCommandNotAllowed,
                   absl::StrCat(command, " is not possible on this node"));
  }
  return absl::OkStatus();
}

// A node as it is now, whoever asks.
absl::StatusOr<Tree::Found> Tree::Find(const std::string& uri, const std::string& server_id) const {
  NodeRequest request;
  request.uri = uri;
  request.server_id = server_id;
  ASSIGN_OR_RETURN(Found found, Parse(request));
  RETURN_IF_ERROR(Locate(found));
  return found;
}

absl::StatusOr<std::vector<NodeValue>> Tree::Get(const NodeRequest& request) const {
  RETURN_IF_ERROR(FinishRollBack());
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (found.uri.query == syncml::NodeUri::Query::kProp) return GetProperty(found);
  if (found.uri.query == syncml::NodeUri::Query::kList) return GetList(found);
  RETURN_IF_ERROR(Resolve(found, "Get", kGet));
  ASSIGN_OR_RETURN(NodeValue value, ReadNode(found));
  std::vector<NodeValue> values;
  values.push_back(std::move(value));
  return values;
}

absl::StatusOr<NodeValue> Tree::ReadNode(const Found& found) const {
  const NodeType& type = found.kind().type;
  NodeValue value{found.call.uri, type.format, TypeOf(type), std::nullopt};
  if (found.kind().interior()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ChildNames(found));
    value.value = absl::StrJoin(names, "/");
  } else {
    ASSIGN_OR_RETURN(value.value, ReadLeaf(found));
  }
  return value;
}

absl::StatusOr<std::string> Tree::ReadLeaf(const Found& found) const {
  const NodeType& type = found.kind().type;
  return type.read ? type.read(found.call) : "";
}

absl::StatusOr<ExecOutcome> Tree::Exec(const NodeRequest& request) {
  RETURN_IF_ERROR(FinishRollBack());
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (found.uri.query != syncml::NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Exec takes neither property nor list");
  }
  RETURN_IF_ERROR(Resolve(found, "Exec", kExec));
  if (!found.kind().type.exec) {
    return DmError(StatusCode::kOptionalFeatureNotSupported, "not possible on this device");
  }
  ASSIGN_OR_RETURN(found.call.value, DecodeArgument(request.format, request.data));
  return found.kind().type.exec(found.call);
}

}  // namespace virmo::dm_bridge
