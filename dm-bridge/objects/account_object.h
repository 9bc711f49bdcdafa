// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/tree/acl.h"
#include "dm-bridge/tree/node.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"

namespace virmo::dm_bridge {

// `./DMAcc` (OMA-TS-DM_StdObj 1.2, `urn:oma:mo:oma-dm-dmacc:1.0`): the accounts as nodes that
// servers with the rights may read, write, add and delete. A node whose leaves make a whole account
// is one: AccountStore has it from then on. Secrets and nonces can be written, never read.
// Durable. Thread-safe.
class AccountObject {
 public:
  // `account`: what it is now; nothing: it is gone.
  using Listener = std::function<void(const std::string& server_id,
                                      const std::optional<config::v1::DmAccount>& account)>;

  static Schema GetSchema();

  // `device_uri` is what the device calls itself to a server that has not named it.
  AccountObject(Database& database, AccountStore& accounts, AclStore& acls, std::string device_uri)
      : database_(database), accounts_(accounts), acls_(acls), device_uri_(std::move(device_uri)) {}

  // Makes nodes of the accounts in the store that have none, or that a file has changed.
  absl::Status Load();

  // Told of each change from now on, on the thread that makes it.
  void SetListener(Listener listener);

  // The object, and `./Inbox`, through which new ones come. Their handlers use this.
  ManagementObject MakeObject();

  // The node (`./DMAcc/x`) of a server's account; empty if there is none.
  absl::StatusOr<std::string> NodeOfServer(const std::string& server_id);

  // The account of a server, its secrets in it; NOT_FOUND if there is none.
  absl::StatusOr<config::v1::DmAccount> AccountOfServer(const std::string& server_id);

 private:
  using Leaves = std::vector<std::pair<std::string, std::string>>;  // by path below the account

  NodeType Stored(const std::string& path, Format format, unsigned access);
  NodeType AccountNode();
  NodeType Choice(const std::string& path, std::vector<std::string> choices);
  NodeType Secret(const std::string& path, Format format);
  void AddAddressNodes(std::vector<NodeType>& nodes);
  void AddCredentialNodes(std::vector<NodeType>& nodes);

  absl::StatusOr<std::optional<std::string>> GetRow(const std::string& path);
  absl::Status PutRow(const std::string& path, const std::string& value);
  absl::StatusOr<std::vector<std::string>> ListBelow(const std::string& path);
  absl::Status RemoveRows(const std::string& path);
  absl::Status RenameRows(const std::string& from, const std::string& to);
  absl::StatusOr<Leaves> LeavesOf(const std::string& node);

  absl::Status Change(const std::string& node, const std::function<absl::Status()>& change);
  absl::Status Synchronize(const std::string& node);
  absl::Status PutAccount(config::v1::DmAccount account, bool nonces_set);
  absl::Status DropAccount(const std::string& server_id);
  absl::Status WriteAccount(const config::v1::DmAccount& account, const std::string& node);

  Database& database_;
  AccountStore& accounts_;
  AclStore& acls_;
  const std::string device_uri_;
  Mutex mutex_;
  Listener listener_ ABSL_GUARDED_BY(mutex_);
};

// `./Inbox`: takes management objects as TNDS and puts accounts below `./DMAcc`.
ManagementObject MakeInboxObject();

// The URN that the device goes by when no server has given it one: made of /etc/machine-id.
std::string OwnDeviceUri();

}  // namespace virmo::dm_bridge
