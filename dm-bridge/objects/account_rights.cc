// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/account_rights.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using config::v1::DmAccount;

std::string KeyOf(const std::string& server_id) { return absl::StrCat("rights/", server_id); }

std::string RightsOf(const DmAccount& account) {
  const std::string& id = account.server_id();
  if (account.acl().empty()) {
    return absl::StrCat("Add=", id, "&Delete=", id, "&Exec=", id, "&Get=", id, "&Replace=", id);
  }
  const absl::Status right = CheckAcl(account.acl());
  if (right.ok()) return account.acl();
  spdlog::error("account without rights server={} cause=\"{}\"", id, right.message());
  return "";
}

}  // namespace

absl::Status ApplyAccountRights(const std::vector<DmAccount>& accounts, SettingsStore& settings,
                                AclStore& acls) {
  std::string known, fresh;
  std::vector<std::string> fresh_ids;
  bool restricted = false;
  for (const DmAccount& account : accounts) {
    restricted = restricted || !account.acl().empty();
    ASSIGN_OR_RETURN(const std::string applied, settings.Get(KeyOf(account.server_id()), ""));
    std::string& rights = applied.empty() ? fresh : known;
    rights = AclUnion(rights, RightsOf(account));
    if (applied.empty()) fresh_ids.push_back(account.server_id());
  }
  if (restricted && !fresh_ids.empty()) {
    for (const char* root : {".", "./DevInfo", "./DevDetail", "./DMAcc", "./Inbox", "./VirMO"}) {
      const std::string own = acls.Get(root);
      const bool untouched = own.empty() || own == kRootAcl;
      std::string acl = AclUnion(untouched ? known : own, fresh);
      if (std::string(root) == ".") acl = AclUnion(acl, "Add=*");  // The root always has it.
      RETURN_IF_ERROR(acls.Set(root, acl));
    }
  }
  for (const std::string& id : fresh_ids) RETURN_IF_ERROR(settings.Set(KeyOf(id), "applied"));
  return absl::OkStatus();
}

absl::Status ForgetAccountRights(const std::string& server_id, SettingsStore& settings) {
  return settings.Set(KeyOf(server_id), "");
}

}  // namespace virmo::dm_bridge
