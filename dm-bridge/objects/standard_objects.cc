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

}  // namespace virmo::dm_bridge
