// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/tree.h"

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
  syncml::NodeUri part;
  part.segments.assign(uri.segments.begin(),
                       uri.segments.begin() + static_cast<std::ptrdiff_t>(count) - 1);
  return part.Path();
}

Tree::Tree(AclStore& acls) : acls_(acls), root_(std::make_unique<Kind>()) {
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

absl::StatusOr<Tree::Found> Tree::Parse(const NodeRequest& request) const {
  absl::StatusOr<syncml::NodeUri> uri = syncml::ParseNodeUri(request.uri, kLimits);
  if (!uri.ok()) {
    const bool too_long = uri.status().code() == absl::StatusCode::kOutOfRange;
    return DmError(too_long ? StatusCode::kUriTooLong : StatusCode::kBadRequest,
                   uri.status().message());
  }
  Found found;
  found.uri = *std::move(uri);
  found.kinds = {root_.get()};
  found.call.server_id = request.server_id;
  found.call.uri = found.uri.Path();
  found.call.correlator = request.correlator;
  found.call.command_key = request.command_key;
  return found;
}

// Walks down the table as far as it goes, and finds how much of that exists now.
absl::Status Tree::Locate(Found& found) const {
  bool exists = true;
  for (const std::string& segment : found.uri.segments) {
    const Kind* below = found.kinds.back()->Below(segment);
    if (below == nullptr) return absl::OkStatus();
    if (below == found.kinds.back()->wildcard.get()) {
      found.call.names.push_back(syncml::UnescapeSegment(segment));
    }
    found.kinds.push_back(below);
    if (exists && below->type.present) {
      ASSIGN_OR_RETURN(exists, below->type.present(found.call));
    }
    if (exists) ++found.existing;
  }
  return absl::OkStatus();
}

// A node that exists and can do what `access` says.
absl::StatusOr<Tree::Found> Tree::Resolve(const NodeRequest& request, absl::string_view command,
                                          unsigned access) const {
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (!acls_.Allows(found.uri.Path(), command, request.server_id)) {
    return DmError(StatusCode::kPermissionDenied,
                   absl::StrCat("the ACL does not give ", command, " to ", request.server_id));
  }
  RETURN_IF_ERROR(Locate(found));
  const bool asked_anyway = access == kExec && found.known() && found.kind().type.exec_when_gone;
  if (!found.exists() && !asked_anyway) {
    return DmError(StatusCode::kNotFound, absl::StrCat("no such node; the deepest that exists is ",
                                                       found.PathOf(found.existing)));
  }
  if (access != 0 && (found.kind().type.access & access) == 0) {
    return DmError(StatusCode::kCommandNotAllowed,
                   absl::StrCat(command, " is not possible on this node"));
  }
  return found;
}

absl::StatusOr<std::vector<NodeValue>> Tree::Get(const NodeRequest& request) const {
  ASSIGN_OR_RETURN(const Found parsed, Parse(request));
  if (parsed.uri.query == syncml::NodeUri::Query::kProp) return GetProperty(request);
  if (parsed.uri.query == syncml::NodeUri::Query::kList) return GetList(request);
  ASSIGN_OR_RETURN(const Found found, Resolve(request, "Get", kGet));
  ASSIGN_OR_RETURN(NodeValue value, ReadNode(found));
  return std::vector<NodeValue>{std::move(value)};
}

absl::StatusOr<NodeValue> Tree::ReadNode(const Found& found) const {
  const NodeType& type = found.kind().type;
  NodeValue value{found.uri.Path(), type.format, TypeOf(type), std::nullopt};
  if (found.kind().interior()) {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, ChildNames(found));
    value.value = absl::StrJoin(names, "/");
  } else if (type.read) {
    ASSIGN_OR_RETURN(value.value, type.read(found.call));
  } else {
    value.value = "";
  }
  return value;
}

absl::Status Tree::Replace(const NodeRequest& request) {
  ASSIGN_OR_RETURN(const Found parsed, Parse(request));
  if (parsed.uri.query == syncml::NodeUri::Query::kProp) return ReplaceProperty(request);
  if (parsed.uri.query != syncml::NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Replace takes no list");
  }
  ASSIGN_OR_RETURN(Found found, Resolve(request, "Replace", kReplace));
  const NodeType& type = found.kind().type;
  if (found.kind().interior() || !type.write) {
    return DmError(StatusCode::kCommandNotAllowed, "this node has no value to replace");
  }
  ASSIGN_OR_RETURN(found.call.value, DecodeValue(type.format, request.format, request.data));
  return type.write(found.call);
}

absl::Status Tree::MakeParents(const Found& found) const {
  Call call = found.call;
  call.names.clear();
  for (size_t i = 1; i + 1 < found.kinds.size(); ++i) {
    if (found.kinds[i] == found.kinds[i - 1]->wildcard.get()) {
      call.names.push_back(syncml::UnescapeSegment(found.uri.segments[i - 1]));
    }
    if (i < found.existing) continue;
    call.uri = found.PathOf(i + 1);
    if (!found.kinds[i]->type.add) {
      return DmError(StatusCode::kNotFound, absl::StrCat(call.uri, " does not exist"));
    }
    RETURN_IF_ERROR(found.kinds[i]->type.add(call));
  }
  return absl::OkStatus();
}

absl::Status Tree::Add(const NodeRequest& request) {
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (found.uri.query != syncml::NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Add takes neither property nor list");
  }
  if (found.uri.is_root()) return DmError(StatusCode::kAlreadyExists, "the root exists");
  const std::string parent = found.PathOf(found.uri.segments.size());
  if (!acls_.Allows(parent, "Add", request.server_id)) {
    return DmError(StatusCode::kPermissionDenied,
                   absl::StrCat("the ACL does not give Add to ", request.server_id));
  }
  RETURN_IF_ERROR(Locate(found));
  if (found.exists()) return DmError(StatusCode::kAlreadyExists, "the node exists");
  const Kind& deepest = *found.kinds[found.existing - 1];
  if (!deepest.interior() || (found.existing > 1 && (deepest.type.access & kAdd) == 0)) {
    return DmError(StatusCode::kCommandNotAllowed,
                   absl::StrCat("nothing can be added to ", found.PathOf(found.existing)));
  }
  if (!found.known() || !found.kind().type.add) {
    return DmError(StatusCode::kNotFound, "the tree has no place for such a node");
  }
  const NodeType& type = found.kind().type;
  ASSIGN_OR_RETURN(found.call.value, DecodeValue(type.format, request.format, request.data));
  RETURN_IF_ERROR(MakeParents(found));
  return type.add(found.call);
}

absl::Status Tree::Delete(const NodeRequest& request) {
  ASSIGN_OR_RETURN(const Found parsed, Parse(request));
  if (parsed.uri.query != syncml::NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Delete takes neither property nor list");
  }
  ASSIGN_OR_RETURN(const Found found, Resolve(request, "Delete", kDelete));
  if (!found.kind().type.remove) {
    return DmError(StatusCode::kCommandNotAllowed, "this node is permanent");
  }
  RETURN_IF_ERROR(found.kind().type.remove(found.call));
  return acls_.Forget(found.uri.Path());
}

absl::StatusOr<ExecOutcome> Tree::Exec(const NodeRequest& request) {
  ASSIGN_OR_RETURN(const Found parsed, Parse(request));
  if (parsed.uri.query != syncml::NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Exec takes neither property nor list");
  }
  ASSIGN_OR_RETURN(Found found, Resolve(request, "Exec", kExec));
  if (!found.kind().type.exec) {
    return DmError(StatusCode::kOptionalFeatureNotSupported, "not possible on this device");
  }
  ASSIGN_OR_RETURN(found.call.value, DecodeArgument(request.format, request.data));
  return found.kind().type.exec(found.call);
}

}  // namespace virmo::dm_bridge
