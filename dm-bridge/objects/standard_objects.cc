// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/standard_objects.h"

#include <sys/utsname.h>

#include "absl/strings/str_cat.h"
#include "dm-bridge/tree/tree.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using config::v1::DmAccount;

NodeType Constant(std::string path, Format format, std::string value) {
  NodeType node{.path = std::move(path), .format = format};
  node.read = [value = std::move(value)](const Call&) { return value; };
  return node;
}

absl::StatusOr<DmAccount> FindAccount(AccountStore& accounts, const std::string& server_id) {
  ASSIGN_OR_RETURN(const std::vector<DmAccount> all, accounts.List());
  for (const DmAccount& account : all) {
    if (account.server_id() == server_id) return account;
  }
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("no account ", server_id));
}

NodeType AccountLeaf(AccountStore& accounts, const std::string& path,
                     std::function<std::string(const DmAccount&)> value) {
  NodeType node{.path = "*/" + path, .format = Format::kChr};
  node.read = [&accounts, value](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const DmAccount account, FindAccount(accounts, call.names[0]));
    return value(account);
  };
  return node;
}

NodeType AccountConstant(const std::string& path, const std::string& value) {
  return Constant("*/" + path, Format::kChr, value);
}

// Secrets and nonces are there, but no command reads them.
NodeType AccountSecret(const std::string& path, Format format) {
  return {.path = "*/" + path, .format = format, .access = 0};
}

NodeType AccountNode(AccountStore& accounts) {
  NodeType node{.path = "*"};
  node.list = [&accounts](const Call&) -> absl::StatusOr<std::vector<std::string>> {
    ASSIGN_OR_RETURN(const std::vector<DmAccount> all, accounts.List());
    std::vector<std::string> names;
    for (const DmAccount& account : all) names.push_back(account.server_id());
    return names;
  };
  node.present = [&accounts](const Call& call) -> absl::StatusOr<bool> {
    return FindAccount(accounts, call.names[0]).ok();
  };
  return node;
}

void AddCredentials(AccountStore& accounts, const std::string& name, const std::string& level,
                    std::function<std::string(const DmAccount&)> user,
                    std::vector<NodeType>& nodes) {
  const std::string root = "AppAuth/" + name;
  nodes.push_back({.path = "*/" + root});
  nodes.push_back(AccountConstant(root + "/AAuthLevel", level));
  nodes.push_back(AccountConstant(root + "/AAuthType", "DIGEST"));
  nodes.push_back(AccountLeaf(accounts, root + "/AAuthName", std::move(user)));
  nodes.push_back(AccountSecret(root + "/AAuthSecret", Format::kChr));
  nodes.push_back(AccountSecret(root + "/AAuthData", Format::kBin));
}

}  // namespace

DevInfo MakeDevInfo(const config::v1::DmBridgeConfig& config, const std::string& device_uri) {
  return {{"DevId", device_uri},
          {"Man", config.manufacturer()},
          {"Mod", config.model()},
          {"DmV", kClientVersion},
          {"Lang", "en"}};
}

ManagementObject MakeDevInfoObject(const config::v1::DmBridgeConfig& config,
                                   AccountStore& accounts) {
  ManagementObject object{.root = "DevInfo", .nodes = {}};
  object.nodes.push_back({.path = "", .type = "urn:oma:mo:oma-dm-devinfo:1.0"});
  for (const auto& [name, value] : MakeDevInfo(config, "")) {
    object.nodes.push_back(Constant(name, Format::kChr, value));
  }
  object.nodes[1].read = [&accounts](const Call& call) -> absl::StatusOr<std::string> {
    const absl::StatusOr<DmAccount> own = FindAccount(accounts, call.server_id);
    if (own.ok()) return own->device_uri();
    ASSIGN_OR_RETURN(const std::vector<DmAccount> all, accounts.List());
    return all.empty() ? "" : all[0].device_uri();
  };
  return object;
}

ManagementObject MakeDevDetailObject(const config::v1::DmBridgeConfig& config) {
  utsname host = {};
  uname(&host);
  ManagementObject object{.root = "DevDetail", .nodes = {}};
  object.nodes = {
      {.path = "", .type = "urn:oma:mo:oma-dm-devdetail:1.0"},
      {.path = "URI"},
      Constant("URI/MaxDepth", Format::kChr, absl::StrCat(Tree::kLimits.max_depth)),
      Constant("URI/MaxTotLen", Format::kChr, absl::StrCat(Tree::kLimits.max_total_length)),
      Constant("URI/MaxSegLen", Format::kChr, absl::StrCat(Tree::kLimits.max_segment_length)),
      Constant("DevTyp", Format::kChr, "VirMO"),
      Constant("OEM", Format::kChr, config.manufacturer()),
      Constant("FwV", Format::kChr, host.release),
      Constant("SwV", Format::kChr, kClientVersion),
      Constant("HwV", Format::kChr, host.machine),
      Constant("LrgObj", Format::kBool, "true")};
  return object;
}

ManagementObject MakeDmAccObject(AccountStore& accounts) {
  ManagementObject object{.root = "DMAcc", .nodes = {}};
  std::vector<NodeType>& nodes = object.nodes;
  nodes.push_back({.path = ""});
  nodes.push_back(AccountNode(accounts));
  nodes.back().type = "urn:oma:mo:oma-dm-dmacc:1.0";
  nodes.push_back(AccountConstant("AppID", "w7"));
  nodes.push_back(
      AccountLeaf(accounts, "ServerID", [](const DmAccount& a) { return a.server_id(); }));
  nodes.push_back({.path = "*/AppAddr"});
  nodes.push_back({.path = "*/AppAddr/1"});
  nodes.push_back(
      AccountLeaf(accounts, "AppAddr/1/Addr", [](const DmAccount& a) { return a.address(); }));
  nodes.push_back(AccountConstant("AppAddr/1/AddrType", "URI"));
  nodes.push_back(AccountConstant("AAuthPref", "DIGEST"));
  nodes.push_back({.path = "*/AppAuth"});
  AddCredentials(
      accounts, "cl", "CLCRED", [](const DmAccount& a) { return a.client_name(); }, nodes);
  AddCredentials(
      accounts, "sv", "SRVCRED", [](const DmAccount& a) { return a.server_name(); }, nodes);
  return object;
}

}  // namespace virmo::dm_bridge
