// SPDX-License-Identifier: Apache-2.0
// AccountObject: the table of its nodes; `./Inbox`.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dm-bridge/objects/account_object.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/uri.h"

namespace virmo::dm_bridge {
namespace {

constexpr size_t kRoot = 8;  // of `./DMAcc/`
constexpr char kMoId[] = "urn:oma:mo:oma-dm-dmacc:1.0";

// The row of a node.
std::string RowOf(const Call& call) { return call.uri.substr(std::min(kRoot, call.uri.size())); }

// The account that a node belongs to.
std::string AccountOf(const Call& call) {
  const std::string row = RowOf(call);
  return row.substr(0, row.find('/'));
}

}  // namespace

NodeType AccountObject::Stored(const std::string& path, Format format, unsigned access) {
  NodeType node{.path = "*/" + path, .format = format, .access = access};
  node.present = [this](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const auto value, GetRow(RowOf(call)));
    return value.has_value();
  };
  node.add = [this](const Call& call) {
    return Change(AccountOf(call), [&] { return PutRow(RowOf(call), call.value); });
  };
  node.remove = [this](const Call& call) {
    return Change(AccountOf(call), [&] { return RemoveRows(RowOf(call)); });
  };
  if (!path.empty() && path.back() == '*') {
    node.list = [this](const Call& call) { return ListBelow(RowOf(call)); };
    node.rename = [this](const Call& call) {
      const std::string row = RowOf(call);
      const std::string to =
          absl::StrCat(row.substr(0, row.rfind('/') + 1), syncml::EscapeSegment(call.value));
      return Change(AccountOf(call), [&] { return RenameRows(row, to); });
    };
  }
  if (format == Format::kNode) return node;
  node.write = node.add;
  node.read = [this](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const auto value, GetRow(RowOf(call)));
    return value.value_or("");
  };
  return node;
}

// A leaf that takes some words only.
NodeType AccountObject::Choice(const std::string& path, std::vector<std::string> choices) {
  NodeType node = Stored(path, Format::kChr, kGet | kReplace | kDelete);
  node.add = [write = node.add, choices](const Call& call) -> absl::Status {
    if (std::find(choices.begin(), choices.end(), call.value) == choices.end()) {
      return DmError(syncml::StatusCode::kOptionalFeatureNotSupported,
                     absl::StrCat("'", call.value, "' is none of ", absl::StrJoin(choices, ", ")));
    }
    return write(call);
  };
  node.write = node.add;
  return node;
}

NodeType AccountObject::Secret(const std::string& path, Format format) {
  return Stored(path, format, kReplace | kDelete);
}

NodeType AccountObject::AccountNode() {
  NodeType node = Stored("", Format::kNode, kGet | kAdd | kReplace | kDelete);
  node.path = "*";
  node.type = kMoId;
  node.description = "An account of a DM server";
  node.irreversible = true;  // Deleting it takes the server out of ACLs everywhere.
  node.list = [this](const Call&) { return ListBelow(""); };
  node.rename = [this](const Call& call) -> absl::Status {
    const std::string from = RowOf(call);
    const std::string to = syncml::EscapeSegment(call.value);
    return database_.Transact([&]() -> absl::Status {
      RETURN_IF_ERROR(RenameRows(from, to));
      return database_.Execute("UPDATE account_of_node SET node = ?2 WHERE node = ?1", {from, to});
    });
  };
  return node;
}

void AccountObject::AddAddressNodes(std::vector<NodeType>& nodes) {
  const unsigned interior = kGet | kAdd | kReplace | kDelete;
  const unsigned leaf = kGet | kReplace | kDelete;
  nodes.push_back({.path = "*/AppAddr", .access = kGet | kAdd});
  nodes.push_back(Stored("AppAddr/*", Format::kNode, interior));
  NodeType address = Stored("AppAddr/*/Addr", Format::kChr, leaf);
  address.add = [write = address.add](const Call& call) -> absl::Status {
    const absl::Status right = CheckAddress(call.value);
    if (!right.ok()) return DmError(syncml::StatusCode::kForbidden, right.message());
    return write(call);
  };
  address.write = address.add;
  nodes.push_back(std::move(address));
  nodes.push_back(Choice("AppAddr/*/AddrType", {"URI"}));
  nodes.push_back(Stored("AppAddr/*/Port", Format::kNode, kGet | kAdd | kDelete));
  nodes.push_back(Stored("AppAddr/*/Port/*", Format::kNode, interior));
  nodes.push_back(Stored("AppAddr/*/Port/*/PortNbr", Format::kChr, leaf));
}

void AccountObject::AddCredentialNodes(std::vector<NodeType>& nodes) {
  const std::vector<std::string> kinds = {"DIGEST", "HMAC", "BASIC", "TRANSPORT"};
  nodes.push_back(Choice("AAuthPref", kinds));
  nodes.push_back({.path = "*/AppAuth", .access = kGet | kAdd});
  nodes.push_back(Stored("AppAuth/*", Format::kNode, kGet | kAdd | kReplace | kDelete));
  nodes.push_back(Choice("AppAuth/*/AAuthLevel", {"CLCRED", "SRVCRED"}));
  nodes.push_back(Choice("AppAuth/*/AAuthType", kinds));
  nodes.push_back(Stored("AppAuth/*/AAuthName", Format::kChr, kGet | kReplace | kDelete));
  nodes.push_back(Secret("AppAuth/*/AAuthSecret", Format::kChr));
  nodes.push_back(Secret("AppAuth/*/AAuthData", Format::kBin));
}

ManagementObject AccountObject::MakeObject() {
  ManagementObject object{.root = "DMAcc", .nodes = {}};
  std::vector<NodeType>& nodes = object.nodes;
  nodes.push_back({.path = "", .access = kGet | kAdd});
  nodes.push_back(AccountNode());
  nodes.push_back(Choice("AppID", {"w7"}));
  const unsigned leaf = kGet | kReplace | kDelete;
  nodes.push_back(Stored("ServerID", Format::kChr, leaf));
  nodes.back().irreversible = true;  // As deleting the account of the former server.
  nodes.push_back(Stored("Name", Format::kChr, leaf));
  nodes.push_back(Stored("PrefConRef", Format::kChr, leaf));
  nodes.push_back(Stored("ToConRef", Format::kNode, kGet | kAdd | kDelete));
  nodes.push_back(Stored("ToConRef/*", Format::kNode, kGet | kAdd | kReplace | kDelete));
  nodes.push_back(Stored("ToConRef/*/ConRef", Format::kChr, leaf));
  AddAddressNodes(nodes);
  AddCredentialNodes(nodes);
  return object;
}

ManagementObject MakeInboxObject() {
  NodeType inbox{.path = "", .access = kAdd, .type = "urn:oma:mo:oma-dm-inbox:1.0"};
  inbox.description = "Where management objects are added that the device puts in their place";
  inbox.place = [](const std::string& mo_id) -> absl::StatusOr<std::string> {
    if (absl::StartsWith(mo_id, "urn:oma:mo:oma-dm-dmacc:1.")) return std::string("./DMAcc");
    return DmError(syncml::StatusCode::kOptionalFeatureNotSupported,
                   absl::StrCat("there is no place for a management object '", mo_id, "'"));
  };
  return {.root = "Inbox", .nodes = {std::move(inbox)}};
}

}  // namespace virmo::dm_bridge
