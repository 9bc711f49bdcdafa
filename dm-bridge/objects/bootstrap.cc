// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/bootstrap.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/transaction.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/bootstrap_mac.h"
#include "services/syncml/codec.h"
#include "services/syncml/tnds.h"
#include "services/syncml/uri.h"

namespace virmo::dm_bridge {
namespace {

absl::Status CheckMac(const v1::BootstrapRequest& request) {
  if (request.security().empty() && request.mac().empty()) return absl::OkStatus();
  if (!syncml::ParseBootstrapSecurity(request.security())) {
    return InvalidField("security", absl::StrCat("none of NETWORKID, USERPIN, USERPIN_NETWORKID: '",
                                                 request.security(), "'"));
  }
  const absl::Status fits =
      syncml::VerifyBootstrapMac(request.mac(), request.key(), request.document());
  if (absl::IsUnauthenticated(fits)) {
    return Error(v1::ErrorInfo::REASON_UNAUTHENTICATED, "the document's MAC does not fit the key");
  }
  return fits.ok() ? fits : InvalidField("mac", fits.message());
}

// The documents that a DM message adds to the Inbox.
absl::StatusOr<std::vector<std::string>> DocumentsOf(const syncml::Message& message) {
  std::vector<std::string> documents;
  for (const syncml::Command& command : message.body) {
    if (command.kind != syncml::CommandKind::kAdd) continue;
    for (const syncml::Item& item : command.items) {
      const auto uri = syncml::ParseNodeUri(item.target ? item.target->uri : "");
      const bool inbox = uri.ok() && !uri->segments.empty() && uri->segments[0] == "Inbox";
      if (!inbox || !syncml::IsTndsType(syncml::TypeOf(command, item))) {
        return InvalidField("document", "its message has an Add that is no TNDS for ./Inbox");
      }
      documents.push_back(item.data.value_or(""));
    }
  }
  if (documents.empty()) return InvalidField("document", "its message adds nothing to ./Inbox");
  return documents;
}

std::string LeafOf(const syncml::TndsNode& node, const std::string& name) {
  for (const syncml::TndsNode& child : node.children) {
    if (child.name == name) return child.value.value_or("");
  }
  return "";
}

// References between the objects of a document are written as if all were in the Inbox.
void Redirect(syncml::TndsNode& node) {
  if (node.value && absl::StartsWith(*node.value, "./Inbox/")) {
    node.value = absl::StrCat("./DMAcc/", node.value->substr(8));
  }
  for (syncml::TndsNode& child : node.children) Redirect(child);
}

class Bootstrapper {
 public:
  Bootstrapper(Tree& tree, AccountObject& accounts) : transaction_(tree), accounts_(accounts) {}

  absl::Status Take(const std::string& octets) {
    RETURN_IF_ERROR(transaction_.ready());
    absl::StatusOr<syncml::TndsDocument> document = syncml::ReadTnds(octets);
    if (!document.ok()) return InvalidField("document", document.status().message());
    if (document->nodes.empty()) return InvalidField("document", "it is empty");
    for (syncml::TndsNode& node : document->nodes) RETURN_IF_ERROR(TakeNode(std::move(node)));
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<std::string>> Finish() {
    for (const std::string& server : servers_) {
      ASSIGN_OR_RETURN(const std::string node, accounts_.NodeOfServer(server));
      if (!node.empty()) continue;
      return InvalidField("document", absl::StrCat("the account of ", server, " is not complete"));
    }
    RETURN_IF_ERROR(transaction_.Commit());
    return servers_;
  }

 private:
  absl::Status TakeNode(syncml::TndsNode node) {
    // A single root that stands for the object itself holds the accounts.
    if (node.name == "DMAcc" && node.type.value_or("").empty()) {
      for (syncml::TndsNode& child : node.children) {
        if (!child.type) child.type = "urn:oma:mo:oma-dm-dmacc:1.0";
        RETURN_IF_ERROR(TakeNode(std::move(child)));
      }
      return absl::OkStatus();
    }
    const std::string server = LeafOf(node, "ServerID");
    if (server.empty()) {
      return InvalidField("document", absl::StrCat(node.name, " has no ServerID"));
    }
    Redirect(node);
    ASSIGN_OR_RETURN(const std::string known, accounts_.NodeOfServer(server));
    Change change{.kind = Change::Kind::kAdd};
    change.request.uri = "./Inbox";
    if (!known.empty()) {
      change.kind = Change::Kind::kReplace;
      change.request.uri = known;
      node.name = known.substr(known.rfind('/') + 1);
    }
    change.request.type = std::string(syncml::kTndsXmlType);
    change.request.data = syncml::WriteTnds({.nodes = {std::move(node)}}, syncml::Encoding::kXml);
    const absl::Status taken = transaction_.Apply(change);
    if (!taken.ok() && !absl::IsUnavailable(taken)) {
      return InvalidField("document", absl::StrCat(taken.message(), " at ", NodeOf(taken)));
    }
    servers_.push_back(server);
    return taken;
  }

  Transaction transaction_;
  AccountObject& accounts_;
  std::vector<std::string> servers_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> TakeBootstrap(const v1::BootstrapRequest& request,
                                                       Tree& tree, AccountObject& accounts) {
  if (request.document().empty()) return InvalidField("document", "it is empty");
  RETURN_IF_ERROR(CheckMac(request));
  std::vector<std::string> documents = {request.document()};
  const absl::StatusOr<syncml::Message> message =
      syncml::Decode(request.document(), syncml::Sniff(request.document()));
  if (message.ok()) {
    ASSIGN_OR_RETURN(documents, DocumentsOf(*message));
  }
  Bootstrapper bootstrapper(tree, accounts);
  for (const std::string& document : documents) RETURN_IF_ERROR(bootstrapper.Take(document));
  return bootstrapper.Finish();
}

}  // namespace virmo::dm_bridge
