// SPDX-License-Identifier: Apache-2.0
// Tree: the commands that change it.

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/tree.h"
#include "dm-bridge/tree/tree_impl.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

using syncml::NodeUri;
using syncml::StatusCode;

namespace {

absl::Status NoRight(absl::string_view command, const std::string& server_id) {
  return DmError(StatusCode::kPermissionDenied,
                 absl::StrCat("the ACL does not give ", command, " to ", server_id));
}

}  // namespace

absl::Status Tree::Replace(const NodeRequest& request) {
  RETURN_IF_ERROR(FinishRollBack());
  const Change change{.kind = Change::Kind::kReplace, .request = request};
  if (IsSubTree(change)) return DoSubTree(change);
  MutexLock turn(turn_);
  return Do(change);
}

absl::Status Tree::Add(const NodeRequest& request) {
  RETURN_IF_ERROR(FinishRollBack());
  const Change change{.kind = Change::Kind::kAdd, .request = request};
  if (IsSubTree(change)) return DoSubTree(change);
  MutexLock turn(turn_);
  return Do(change);
}

absl::Status Tree::Delete(const NodeRequest& request) {
  RETURN_IF_ERROR(FinishRollBack());
  MutexLock turn(turn_);
  return Do({.kind = Change::Kind::kDelete, .request = request});
}

absl::Status Tree::Copy(const NodeRequest& request, const std::string& source) {
  RETURN_IF_ERROR(FinishRollBack());
  MutexLock turn(turn_);
  ASSIGN_OR_RETURN(const Change plain,
                   Plain({.kind = Change::Kind::kCopy, .request = request, .source = source}));
  return Do(plain);
}

// A Copy as the Add or Replace that it amounts to; any other change as it is.
absl::StatusOr<Change> Tree::Plain(const Change& change) const {
  if (change.kind != Change::Kind::kCopy) return change;
  NodeRequest get = change.request;
  get.uri = change.source;
  ASSIGN_OR_RETURN(Found source, Parse(get));
  if (source.uri.query != NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Copy takes neither property nor list");
  }
  RETURN_IF_ERROR(Resolve(source, "Get", kGet));
  if (source.kind().interior()) {
    return DmErrorAt(StatusCode::kCommandNotAllowed, "only leaves can be copied",
                     source.uri.Path());
  }
  Change plain{.kind = Change::Kind::kReplace, .request = change.request};
  ASSIGN_OR_RETURN(plain.request.data, ReadLeaf(source));
  plain.request.format = std::string(Name(source.kind().type.format));
  ASSIGN_OR_RETURN(Found target, Parse(change.request));
  // Whether it is there is told only to who may ask.
  if (acls_.Allows(target.uri.Path(), "Replace", change.request.server_id)) {
    RETURN_IF_ERROR(Locate(target));
    if (target.exists()) return plain;
  }
  plain.kind = Change::Kind::kAdd;
  return plain;
}

absl::Status Tree::Do(const Change& change) {
  switch (change.kind) {
    case Change::Kind::kAdd:
      return DoAdd(change.request);
    case Change::Kind::kDelete:
      return DoDelete(change.request);
    default:
      return DoReplace(change.request);
  }
}

absl::Status Tree::DoReplace(const NodeRequest& request) {
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (found.uri.query == NodeUri::Query::kProp) {
    return ReplaceProperty(found, request.data.value_or(""));
  }
  if (found.uri.query != NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Replace takes no list");
  }
  RETURN_IF_ERROR(Resolve(found, "Replace", kReplace));
  const NodeType& type = found.kind().type;
  if (found.kind().interior() || !type.write) {
    return DmError(StatusCode::kCommandNotAllowed, "this node has no value to replace");
  }
  ASSIGN_OR_RETURN(found.call.value, DecodeValue(type.format, request.format, request.data));
  RETURN_IF_ERROR(type.write(found.call));
  return properties_.OnChange(found.uri.Path());
}

// Makes the interior nodes that are missing above the one that is added. `topmost` becomes the URI
// of the first that was made.
absl::Status Tree::MakeParents(const Found& found, std::string* topmost) const {
  Call call = found.call;
  call.value.clear();
  call.names.clear();
  for (size_t i = 1; i + 1 < found.kinds.size(); ++i) {
    if (found.kinds[i] == found.kinds[i - 1]->wildcard.get()) {
      call.names.push_back(syncml::UnescapeSegment(found.uri.segments[i - 1]));
    }
    if (i < found.existing) continue;
    call.uri = found.PathOf(i + 1);
    if (!found.kinds[i]->type.add) {
      return DmErrorAt(StatusCode::kNotFound, absl::StrCat(call.uri, " does not exist"), call.uri);
    }
    // It may be there by now, made along with its own parent.
    if (found.kinds[i]->type.present) {
      ASSIGN_OR_RETURN(const bool present, found.kinds[i]->type.present(call));
      if (present) continue;
    }
    RETURN_IF_ERROR(NamingNode(found.kinds[i]->type.add(call), call.uri));
    if (topmost->empty()) *topmost = call.uri;
  }
  return absl::OkStatus();
}

// Who makes an interior node without Replace on its parent gets what it needs to go on with it.
absl::Status Tree::SetCreatorsAcl(const Found& found) {
  const std::string& server_id = found.call.server_id;
  const std::string parent = found.PathOf(found.uri.segments.size());
  if (!found.kind().interior() || server_id.empty() || acls_.Allows(parent, "Replace", server_id)) {
    return absl::OkStatus();
  }
  return acls_.Set(found.uri.Path(), AclOfCreator(acls_.InForce(parent), server_id));
}

absl::Status Tree::DoAdd(const NodeRequest& request) {
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (found.uri.query != NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Add takes neither property nor list");
  }
  if (found.uri.is_root()) return DmError(StatusCode::kAlreadyExists, "the root exists");
  const std::string parent = found.PathOf(found.uri.segments.size());
  if (!acls_.Allows(parent, "Add", request.server_id)) return NoRight("Add", request.server_id);
  RETURN_IF_ERROR(Locate(found));
  if (found.exists()) return DmError(StatusCode::kAlreadyExists, "the node exists");
  const Kind& deepest = *found.kinds[found.existing - 1];
  if (!deepest.interior() || (found.existing > 1 && (deepest.type.access & kAdd) == 0)) {
    const std::string there = found.PathOf(found.existing);
    return DmErrorAt(StatusCode::kCommandNotAllowed,
                     absl::StrCat("nothing can be added to ", there), there);
  }
  if (!found.known() || !found.kind().type.add) {
    return DmErrorAt(StatusCode::kNotFound,
                     absl::StrCat("the tree has no place for ", found.uri.Path()),
                     found.PathOf(found.existing));
  }
  const NodeType& type = found.kind().type;
  ASSIGN_OR_RETURN(found.call.value, DecodeValue(type.format, request.format, request.data));
  std::string topmost;
  absl::Status made = MakeParents(found, &topmost);
  if (made.ok()) made = type.add(found.call);
  if (!made.ok()) {
    // No parent stays behind that was only made for it.
    const absl::StatusOr<Found> left =
        topmost.empty() ? absl::NotFoundError("") : Find(topmost, request.server_id);
    if (left.ok() && left->exists() && left->kind().type.remove) {
      left->kind().type.remove(left->call).IgnoreError();
    }
    return made;
  }
  RETURN_IF_ERROR(SetCreatorsAcl(found));
  return properties_.OnChange(found.uri.Path());
}

absl::Status Tree::Remove(const Found& found) {
  RETURN_IF_ERROR(found.kind().type.remove(found.call));
  RETURN_IF_ERROR(properties_.Forget(found.uri.Path()));
  return acls_.Forget(found.uri.Path());
}

absl::Status Tree::DoDelete(const NodeRequest& request) {
  ASSIGN_OR_RETURN(Found found, Parse(request));
  if (found.uri.query != NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "Delete takes neither property nor list");
  }
  RETURN_IF_ERROR(Resolve(found, "Delete", kDelete));
  if (!found.kind().type.remove) {
    return DmError(StatusCode::kCommandNotAllowed, "this node is permanent");
  }
  return Remove(found);
}

// Who may change an ACL: a leaf's own Replace covers its value, not its ACL.
absl::Status Tree::CheckAclRight(const Found& found) const {
  const std::string& server_id = found.call.server_id;
  const std::string parent = found.uri.is_root() ? "." : found.PathOf(found.uri.segments.size());
  const bool own = !found.exists() || found.kind().interior();
  const bool allowed = acls_.Allows(parent, "Replace", server_id) ||
                       (own && acls_.Allows(found.uri.Path(), "Replace", server_id));
  if (allowed) return absl::OkStatus();
  return DmError(StatusCode::kPermissionDenied, "no right to change this ACL");
}

absl::Status Tree::ReplaceProperty(Found& found, const std::string& value) {
  const std::string& property = found.uri.argument;
  const std::string path = found.uri.Path();
  if (property == "ACL") {
    RETURN_IF_ERROR(Locate(found));
    RETURN_IF_ERROR(CheckAclRight(found));
    if (!found.exists()) {
      return DmErrorAt(StatusCode::kNotFound, "no such node", found.PathOf(found.existing));
    }
    return acls_.Set(path, value);
  }
  RETURN_IF_ERROR(Resolve(found, "Replace", 0));
  if (property == "Name") return Rename(found, value);
  if (property != "Title") {
    const bool known = property == "Format" || property == "Type" || property == "Size" ||
                       property == "TStamp" || property == "VerNo";
    return DmError(
        known ? StatusCode::kCommandNotAllowed : StatusCode::kOptionalFeatureNotSupported,
        absl::StrCat("the property ", property, " cannot be replaced"));
  }
  if (value.size() > PropertyStore::kMaxTitle) {
    return DmError(StatusCode::kEntityTooLarge, "a Title has at most 255 octets");
  }
  ASSIGN_OR_RETURN(Properties properties, properties_.Get(path));
  properties.title = value;
  return properties_.Set(path, properties);
}

absl::Status Tree::MoveNotes(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(properties_.Move(from, to));
  return acls_.Move(from, to);
}

absl::Status Tree::Rename(const Found& found, const std::string& name) {
  if (!found.kind().type.rename) {
    return DmError(StatusCode::kCommandNotAllowed, "this node keeps its name");
  }
  const std::string parent = found.PathOf(found.uri.segments.size());
  NodeRequest request;
  request.uri = absl::StrCat(parent, "/", syncml::EscapeSegment(name));
  request.server_id = found.call.server_id;
  if (name.empty() || name.find('/') != std::string::npos) {
    return DmError(StatusCode::kBadRequest, absl::StrCat("no name for a node: '", name, "'"));
  }
  ASSIGN_OR_RETURN(Found target, Parse(request));
  if (target.uri.Path() == found.uri.Path()) return absl::OkStatus();
  RETURN_IF_ERROR(Locate(target));
  if (target.exists()) return DmError(StatusCode::kAlreadyExists, "a sibling has this name");
  if (target.kinds.back() != found.kinds.back()) {
    return DmError(StatusCode::kCommandNotAllowed, "the tree has another node of this name");
  }
  Call call = found.call;
  call.value = name;
  RETURN_IF_ERROR(found.kind().type.rename(call));
  RETURN_IF_ERROR(MoveNotes(found.uri.Path(), target.uri.Path()));
  return properties_.OnChange(target.uri.Path());
}

}  // namespace virmo::dm_bridge
