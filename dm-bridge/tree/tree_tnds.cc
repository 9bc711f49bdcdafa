// SPDX-License-Identifier: Apache-2.0
// Tree: sub-trees as TNDS documents (OMA-TS-DM_TNDS), out and in.

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/transaction.h"
#include "dm-bridge/tree/tree.h"
#include "dm-bridge/tree/tree_impl.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {

using syncml::StatusCode;
using syncml::TndsNode;

bool IsSubTree(const Change& change) {
  const bool brings = change.kind == Change::Kind::kAdd || change.kind == Change::Kind::kReplace;
  return brings && change.request.type && syncml::IsTndsType(*change.request.type);
}

namespace {

// What a TNDS shows, of the argument of `?list=`: `TNDS`, `TNDS+ACL+Value`, `TNDS-ACL`.
absl::StatusOr<std::set<std::string>> ShownProperties(absl::string_view argument) {
  const std::set<std::string> all = {"ACL",    "Format", "Name",  "Size", "Title",
                                     "TStamp", "Type",   "VerNo", "Value"};
  argument.remove_prefix(4);
  if (argument.empty()) return all;
  const char sign = argument.front();
  const bool mixed = argument.find(sign == '+' ? '-' : '+') != absl::string_view::npos;
  if ((sign != '+' && sign != '-') || mixed) {
    return DmError(StatusCode::kBadRequest, "TNDS takes properties all with + or all with -");
  }
  std::set<std::string> shown = sign == '-' ? all : std::set<std::string>();
  for (const absl::string_view name : absl::StrSplit(argument.substr(1), sign)) {
    if (all.count(std::string(name)) == 0) {
      return DmError(StatusCode::kOptionalFeatureNotSupported,
                     absl::StrCat("TNDS has no property ", name));
    }
    if (sign == '+') shown.insert(std::string(name));
    if (sign == '-') shown.erase(std::string(name));
  }
  return shown;
}

// Removes what was not asked for, when it is all there.
void Hide(const std::set<std::string>& shown, TndsNode& node) {
  const auto hide = [&shown](const char* name, std::optional<std::string>& property) {
    if (shown.count(name) == 0 || (property && property->empty())) property.reset();
  };
  hide("ACL", node.acl);
  hide("Format", node.format);
  hide("Size", node.size);
  hide("Title", node.title);
  hide("TStamp", node.tstamp);
  if (shown.count("Type") == 0) node.type.reset();
  if (shown.count("VerNo") == 0) node.ver_no.reset();
  if (shown.count("Value") == 0) node.value.reset();
}

}  // namespace

// Fills in the node; false if the asker may not read it, and hence nothing below it.
absl::StatusOr<bool> Tree::Describe(const Found& found, TndsNode& node) const {
  const NodeType& type = found.kind().type;
  const std::string path = found.uri.Path();
  const bool readable = (type.access & kGet) != 0;
  const bool allowed = acls_.Allows(path, "Get", found.call.server_id);
  if (!readable || !allowed) return false;
  node.name = found.uri.is_root() ? "." : found.uri.segments.back();
  node.format = std::string(Name(type.format));
  node.type = TypeOf(type);
  node.acl = acls_.Get(path);
  ASSIGN_OR_RETURN(const Properties properties, properties_.Get(path));
  node.title = properties.title;
  node.tstamp = properties.tstamp;
  if (properties.ver_no != 0) node.ver_no = absl::StrCat(properties.ver_no);
  if (found.kind().interior()) return true;
  ASSIGN_OR_RETURN(node.value, ReadLeaf(found));
  node.size = absl::StrCat(node.value->size());
  return true;
}

absl::StatusOr<TndsNode> Tree::Pack(const Found& found, const std::set<std::string>& shown) const {
  TndsNode node;
  ASSIGN_OR_RETURN(const bool readable, Describe(found, node));
  if (!readable) return TndsNode();
  Hide(shown, node);
  if (!found.kind().interior()) return node;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ChildNames(found));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto child, Child(found, name));
    if (!child) continue;
    ASSIGN_OR_RETURN(TndsNode below, Pack(*child, shown));
    if (!below.name.empty()) node.children.push_back(std::move(below));
  }
  return node;
}

absl::StatusOr<std::vector<NodeValue>> Tree::GetTnds(const Found& found) const {
  ASSIGN_OR_RETURN(const std::set<std::string> shown, ShownProperties(found.uri.argument));
  Found node = found;
  node.uri.query = syncml::NodeUri::Query::kNone;
  ASSIGN_OR_RETURN(TndsNode packed, Pack(node, shown));
  syncml::TndsDocument document;
  if (found.uri.is_root()) {
    document.nodes = std::move(packed.children);  // The root has no name of its own.
  } else {
    document.nodes.push_back(std::move(packed));
  }
  NodeValue value{found.uri.ToString(), Format::kXml, std::string(syncml::kTndsXmlType),
                  syncml::WriteTnds(document, syncml::Encoding::kXml)};
  return std::vector<NodeValue>{std::move(value)};
}

namespace {

template <typename Entry>
void Flatten(const std::string& uri, TndsNode node, const std::string& server_id,
             std::vector<Entry>& entries) {
  std::vector<TndsNode> children = std::exchange(node.children, {});
  Entry& entry = entries.emplace_back();
  entry.uri = uri;
  entry.server_id = server_id;
  for (const TndsNode& child : children) entry.children.push_back(child.name);
  entry.node = std::move(node);
  // An interior node without a format of its own, for it has children.
  if (!children.empty() && !entry.node.format) entry.node.format = "node";
  for (TndsNode& child : children) {
    const std::string below = absl::StrCat(uri, "/", child.name);
    Flatten(below, std::move(child), server_id, entries);
  }
}

}  // namespace

// The device picks the place, by what it is.
absl::Status Tree::PlaceEntries(const Found& target, TndsNode node,
                                std::vector<Entry>& entries) const {
  ASSIGN_OR_RETURN(const std::string parent, target.kind().type.place(node.type.value_or("")));
  const std::string uri = absl::StrCat(parent, "/", node.name);
  const size_t first = entries.size();
  Flatten(uri, std::move(node), "", entries);
  entries[first].must_be_new = true;
  return absl::OkStatus();
}

// The document's nodes go below the target; a single one of the target's own name is the target.
absl::StatusOr<std::vector<Tree::Entry>> Tree::Unpack(const Change& change) const {
  const NodeRequest& request = change.request;
  ASSIGN_OR_RETURN(Found target, Parse(request));
  if (target.uri.query != syncml::NodeUri::Query::kNone) {
    return DmError(StatusCode::kCommandNotAllowed, "TNDS goes to a node");
  }
  absl::StatusOr<syncml::TndsDocument> document = syncml::ReadTnds(request.data.value_or(""));
  if (!document.ok()) {
    return DmError(StatusCode::kBadRequest,
                   absl::StrCat("the TNDS cannot be read: ", document.status().message()));
  }
  RETURN_IF_ERROR(Locate(target));
  const bool add = change.kind == Change::Kind::kAdd;
  std::vector<Entry> entries;
  const bool itself = document->nodes.size() == 1 && !target.uri.is_root() &&
                      document->nodes[0].name == target.uri.segments.back();
  for (TndsNode& node : document->nodes) {
    if (add && target.exists() && target.kind().type.place) {
      if (!acls_.Allows(target.uri.Path(), "Add", request.server_id)) {
        return DmError(StatusCode::kPermissionDenied, "the ACL does not give Add");
      }
      RETURN_IF_ERROR(PlaceEntries(target, std::move(node), entries));
      continue;
    }
    const std::string uri =
        itself ? target.uri.Path() : absl::StrCat(target.uri.Path(), "/", node.name);
    const size_t first = entries.size();
    Flatten(uri, std::move(node), request.server_id, entries);
    entries[first].must_be_new = add && !entries[first].node.is_implied;
  }
  return entries;
}

// What of the node is there and not in the document goes.
absl::StatusOr<std::vector<Change>> Tree::Surplus(const Entry& entry, const Change& change) const {
  std::vector<Change> changes;
  ASSIGN_OR_RETURN(const Found found, Find(entry.uri, entry.server_id));
  if (change.kind != Change::Kind::kReplace || entry.node.is_implied || !found.exists() ||
      !found.kind().interior()) {
    return changes;
  }
  const std::set<std::string> kept(entry.children.begin(), entry.children.end());
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ChildNames(found));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto child, Child(found, name));
    if (!child || kept.count(name) > 0 || (child->kind().type.access & kDelete) == 0) continue;
    changes.push_back({.kind = Change::Kind::kDelete,
                       .request = {.uri = child->uri.Path(), .server_id = entry.server_id}});
  }
  return changes;
}

absl::StatusOr<std::vector<Change>> Tree::ChangesFor(const Entry& entry,
                                                     const Change& change) const {
  ASSIGN_OR_RETURN(std::vector<Change> changes, Surplus(entry, change));
  const TndsNode& node = entry.node;
  ASSIGN_OR_RETURN(const Found found, Find(entry.uri, entry.server_id));
  NodeRequest request{.uri = entry.uri,
                      .server_id = entry.server_id,
                      .data = node.value,
                      .command_key = absl::StrCat(change.request.command_key, "|", entry.uri)};
  if (node.format) request.format = *node.format == "b64" ? "bin" : *node.format;
  const bool leaf = found.known() && !found.kind().interior();
  if (leaf && !request.data && !found.exists()) request.data = "";
  if (!found.exists() || entry.must_be_new) {
    if (!node.is_implied || !found.exists()) {
      changes.push_back({.kind = Change::Kind::kAdd, .request = request});
    }
  } else if (leaf && request.data) {
    // What is so already is not written: the device may have made it, and nobody can.
    const absl::StatusOr<std::string> now = ReadLeaf(found);
    const bool as_it_is = found.kind().type.read && now.ok() && *now == *request.data;
    const bool operation = found.kind().type.format == Format::kNull;
    if (!as_it_is && !operation) {
      changes.push_back({.kind = Change::Kind::kReplace, .request = request});
    }
  }
  for (const auto& [property, value] :
       {std::pair("ACL", node.acl), std::pair("Title", node.title)}) {
    if (!value) continue;
    changes.push_back({.kind = Change::Kind::kReplace,
                       .request = {.uri = absl::StrCat(entry.uri, "?prop=", property),
                                   .server_id = entry.server_id,
                                   .data = *value}});
  }
  return changes;
}

absl::Status Tree::DoSubTree(const Change& change) {
  Transaction transaction(*this);
  RETURN_IF_ERROR(transaction.Apply(change));
  return transaction.Commit();
}

}  // namespace virmo::dm_bridge
