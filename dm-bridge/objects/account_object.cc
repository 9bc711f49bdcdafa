// SPDX-License-Identifier: Apache-2.0
// AccountObject: how the rows of the tree and the accounts in use become one another. Its nodes:
// account_nodes.cc.

#include "dm-bridge/objects/account_object.h"

#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dm-bridge/tree/dm_error.h"
#include "google/protobuf/util/message_differencer.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/syncml/base64.h"
#include "services/syncml/uri.h"

namespace virmo::dm_bridge {
namespace {

using config::v1::DmAccount;

constexpr char kWithin[] = "(path = ?1 OR (path >= ?1 || '/' AND path < ?1 || '0'))";
constexpr absl::string_view kDeviceSpace = "0d3c2c0e-55a1-5b0e-8f3e-6a1f6e7c2b11";

// What one entry below AppAuth says.
struct Credentials {
  std::string level, type, name, secret;
  std::optional<std::string> nonce;
};

// `AppAuth/x/AAuthName` to `x` and `AAuthName`; empty if it is no such path.
std::pair<std::string, std::string> SplitEntry(absl::string_view path, absl::string_view prefix) {
  if (!absl::ConsumePrefix(&path, prefix)) return {};
  const size_t slash = path.find('/');
  if (slash == absl::string_view::npos) return {};
  return {std::string(path.substr(0, slash)), std::string(path.substr(slash + 1))};
}

void SetCredentials(const Credentials& from, DmAccount& account) {
  const std::string nonce = from.nonce ? syncml::Base64Encode(*from.nonce) : "";
  if (from.level == "CLCRED") {
    account.set_client_name(from.name);
    account.set_client_secret(from.secret);
    account.set_client_nonce(nonce);
    if (account.authentication().empty()) account.set_authentication(from.type);
  } else if (from.level == "SRVCRED") {
    account.set_server_name(from.name);
    account.set_server_secret(from.secret);
    account.set_server_nonce(nonce);
  }
}

// `https://HOST/dm` with the port, unless it has one.
std::string WithPort(const std::string& address, const std::string& port) {
  const size_t host = address.find("://");
  if (port.empty() || host == std::string::npos) return address;
  const size_t end = std::min(address.find_first_of("/?#", host + 3), address.size());
  const std::string authority = address.substr(host + 3, end - host - 3);
  const bool has_port = authority.find(':', authority.rfind(']') + 1) != std::string::npos;
  if (has_port) return address;
  return absl::StrCat(address.substr(0, end), ":", port, address.substr(end));
}

// The account that the leaves make, so far as they do.
DmAccount Assemble(const std::vector<std::pair<std::string, std::string>>& leaves) {
  DmAccount account;
  std::map<std::string, Credentials> entries;
  std::string first_address, address, port;
  for (const auto& [path, value] : leaves) {
    if (path == "ServerID") account.set_server_id(value);
    if (path == "AAuthPref") account.set_authentication(value);
    const auto [at, leaf] = SplitEntry(path, "AppAddr/");
    if (first_address.empty()) first_address = at;
    if (!at.empty() && at == first_address) {
      if (leaf == "Addr") address = value;
      if (absl::EndsWith(leaf, "/PortNbr") && port.empty()) port = value;
    }
    const auto [entry, field] = SplitEntry(path, "AppAuth/");
    if (field == "AAuthLevel") entries[entry].level = value;
    if (field == "AAuthType") entries[entry].type = value;
    if (field == "AAuthName") entries[entry].name = value;
    if (field == "AAuthSecret") entries[entry].secret = value;
    if (field == "AAuthData") entries[entry].nonce = value;
  }
  account.set_address(WithPort(address, port));
  for (const auto& [name, credentials] : entries) SetCredentials(credentials, account);
  if (account.server_name().empty()) account.set_server_name(account.server_id());
  return account;
}

bool Same(const DmAccount& a, const DmAccount& b) {
  return google::protobuf::util::MessageDifferencer::Equals(a, b);
}

}  // namespace

std::string OwnDeviceUri() {
  const absl::StatusOr<std::string> id = ReadFile("/etc/machine-id", 4096);
  const std::string text = id.ok() ? std::string(absl::StripAsciiWhitespace(*id)) : "";
  return text.empty() ? "" : absl::StrCat("urn:uuid:", NameUuid(kDeviceSpace, text));
}

Schema AccountObject::GetSchema() {
  return {"account_object",
          {"CREATE TABLE account_node (path TEXT PRIMARY KEY, value BLOB NOT NULL);"
           "CREATE TABLE account_of_node (node TEXT PRIMARY KEY, server_id TEXT NOT NULL)"}};
}

void AccountObject::SetListener(Listener listener) {
  MutexLock lock(mutex_);
  listener_ = std::move(listener);
}

absl::StatusOr<std::optional<std::string>> AccountObject::GetRow(const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT value FROM account_node WHERE path = ?1", {path}));
  if (rows.empty()) return std::nullopt;
  return rows[0].Text(0);
}

absl::Status AccountObject::PutRow(const std::string& path, const std::string& value) {
  return database_.Execute("INSERT OR REPLACE INTO account_node (path, value) VALUES (?1, ?2)",
                           {path, Blob{value}});
}

absl::Status AccountObject::RemoveRows(const std::string& path) {
  return database_.Execute(absl::StrCat("DELETE FROM account_node WHERE ", kWithin), {path});
}

absl::Status AccountObject::RenameRows(const std::string& from, const std::string& to) {
  return database_.Execute(
      absl::StrCat("UPDATE account_node SET path = ?2 || substr(path, length(?1) + 1) WHERE ",
                   kWithin),
      {from, to});
}

// Names of the nodes right below one, unescaped; of all accounts if `path` is empty.
absl::StatusOr<std::vector<std::string>> AccountObject::ListBelow(const std::string& path) {
  const std::string prefix = path.empty() ? "" : absl::StrCat(path, "/");
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT path FROM account_node WHERE substr(path, 1, length(?1)) = ?1 AND "
                      "length(path) > length(?1) AND instr(substr(path, length(?1) + 1), '/') = 0 "
                      "ORDER BY path",
                      {prefix}));
  std::vector<std::string> names;
  for (const SqlRow& row : rows) {
    names.push_back(syncml::UnescapeSegment(row.Text(0).substr(prefix.size())));
  }
  return names;
}

absl::StatusOr<AccountObject::Leaves> AccountObject::LeavesOf(const std::string& node) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query(absl::StrCat("SELECT path, value FROM account_node WHERE ",
                                                kWithin, " AND path != ?1 ORDER BY path"),
                                   {node}));
  Leaves leaves;
  for (const SqlRow& row : rows) {
    leaves.emplace_back(row.Text(0).substr(node.size() + 1), row.Text(1));
  }
  return leaves;
}

absl::StatusOr<std::string> AccountObject::NodeOfServer(const std::string& server_id) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT node FROM account_of_node WHERE server_id = ?1", {server_id}));
  return rows.empty() ? "" : absl::StrCat("./DMAcc/", rows[0].Text(0));
}

absl::StatusOr<DmAccount> AccountObject::AccountOfServer(const std::string& server_id) {
  ASSIGN_OR_RETURN(const std::vector<DmAccount> all, accounts_.List());
  for (const DmAccount& account : all) {
    if (account.server_id() == server_id) return account;
  }
  return absl::NotFoundError(absl::StrCat("no account of server ", server_id));
}

// Does a change to an account's rows and what follows from it, both or neither.
absl::Status AccountObject::Change(const std::string& node,
                                   const std::function<absl::Status()>& change) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(change());
    return Synchronize(node);
  });
}

absl::Status AccountObject::DropAccount(const std::string& server_id) {
  RETURN_IF_ERROR(accounts_.Remove(server_id));
  RETURN_IF_ERROR(acls_.Strip(server_id));
  database_.AfterCommit([this, server_id] {
    spdlog::info("account gone server={}", server_id);
    MutexLock lock(mutex_);
    if (listener_) listener_(server_id, std::nullopt);
  });
  return absl::OkStatus();
}

absl::Status AccountObject::PutAccount(DmAccount account, bool nonces_set) {
  std::optional<Nonces> kept;
  if (!nonces_set) {
    const absl::StatusOr<Nonces> nonces = accounts_.GetNonces(account.server_id());
    if (nonces.ok()) kept = *nonces;
  }
  RETURN_IF_ERROR(accounts_.Put(account));
  if (kept) RETURN_IF_ERROR(accounts_.SaveNonces(account.server_id(), *kept));
  database_.AfterCommit([this, account] {
    spdlog::info("account changed server={} address={}", account.server_id(), account.address());
    MutexLock lock(mutex_);
    if (listener_) listener_(account.server_id(), account);
  });
  return absl::OkStatus();
}

// Makes the account in use be what the node's leaves say. What is not whole, or not right, is not
// in use yet; one that was goes on as it was until it is right again.
absl::Status AccountObject::Synchronize(const std::string& node) {
  ASSIGN_OR_RETURN(
      const std::vector<SqlRow> rows,
      database_.Query("SELECT server_id FROM account_of_node WHERE node = ?1", {node}));
  const std::string before = rows.empty() ? "" : rows[0].Text(0);
  ASSIGN_OR_RETURN(const auto there, GetRow(node));
  if (!there) {
    RETURN_IF_ERROR(database_.Execute("DELETE FROM account_of_node WHERE node = ?1", {node}));
    return before.empty() ? absl::OkStatus() : DropAccount(before);
  }
  ASSIGN_OR_RETURN(const Leaves leaves, LeavesOf(node));
  DmAccount account = Assemble(leaves);
  ASSIGN_OR_RETURN(const std::vector<DmAccount> all, accounts_.List());
  DmAccount old;
  std::string device_uri = device_uri_;
  for (const DmAccount& one : all) {
    if (!one.device_uri().empty()) device_uri = one.device_uri();
    if (one.server_id() == before) old = one;
    if (one.server_id() == account.server_id() && one.server_id() != before) {
      return DmError(syncml::StatusCode::kAlreadyExists, "there is an account of this ServerID");
    }
  }
  account.set_device_uri(old.device_uri().empty() ? device_uri : old.device_uri());
  account.set_protocol_version(old.protocol_version());
  account.set_acl(old.acl());
  if (absl::Status right = CheckAccount(account); !right.ok()) {
    spdlog::debug("account not in use node={} cause=\"{}\"", node, right.message());
    return absl::OkStatus();
  }
  if (Same(account, old)) return absl::OkStatus();
  if (!before.empty() && before != account.server_id()) RETURN_IF_ERROR(DropAccount(before));
  RETURN_IF_ERROR(
      database_.Execute("INSERT OR REPLACE INTO account_of_node (node, server_id) VALUES (?1, ?2)",
                        {node, account.server_id()}));
  const bool nonces_set =
      account.client_nonce() != old.client_nonce() || account.server_nonce() != old.server_nonce();
  return PutAccount(std::move(account), nonces_set);
}

absl::Status AccountObject::WriteAccount(const DmAccount& account, const std::string& node) {
  const auto put = [&](const std::string& path, const std::string& value) {
    return PutRow(absl::StrCat(node, "/", path), value);
  };
  const auto put_nonce = [&](const std::string& path, const std::string& base64) -> absl::Status {
    if (base64.empty()) return RemoveRows(absl::StrCat(node, "/", path));
    ASSIGN_OR_RETURN(const std::string octets, syncml::Base64Decode(base64));
    return put(path, octets);
  };
  const std::string kind = account.authentication().empty() ? "DIGEST" : account.authentication();
  RETURN_IF_ERROR(PutRow(node, ""));
  for (const auto& [path, value] : Leaves{{"AppID", "w7"},
                                          {"ServerID", account.server_id()},
                                          {"AppAddr/1", ""},
                                          {"AppAddr/1/Addr", account.address()},
                                          {"AppAddr/1/AddrType", "URI"},
                                          {"AAuthPref", kind},
                                          {"AppAuth/cl", ""},
                                          {"AppAuth/cl/AAuthLevel", "CLCRED"},
                                          {"AppAuth/cl/AAuthType", kind},
                                          {"AppAuth/cl/AAuthName", account.client_name()},
                                          {"AppAuth/cl/AAuthSecret", account.client_secret()},
                                          {"AppAuth/sv", ""},
                                          {"AppAuth/sv/AAuthLevel", "SRVCRED"},
                                          {"AppAuth/sv/AAuthType", "DIGEST"},
                                          {"AppAuth/sv/AAuthName", account.server_name()},
                                          {"AppAuth/sv/AAuthSecret", account.server_secret()}}) {
    RETURN_IF_ERROR(put(path, value));
  }
  RETURN_IF_ERROR(put_nonce("AppAuth/cl/AAuthData", account.client_nonce()));
  RETURN_IF_ERROR(put_nonce("AppAuth/sv/AAuthData", account.server_nonce()));
  return database_.Execute(
      "INSERT OR REPLACE INTO account_of_node (node, server_id) VALUES (?1, ?2)",
      {node, account.server_id()});
}

absl::Status AccountObject::Load() {
  ASSIGN_OR_RETURN(const std::vector<DmAccount> all, accounts_.List());
  return database_.Transact([&]() -> absl::Status {
    for (const DmAccount& account : all) {
      ASSIGN_OR_RETURN(std::string uri, NodeOfServer(account.server_id()));
      std::string node = uri.empty() ? syncml::EscapeSegment(account.server_id())
                                     : uri.substr(std::string("./DMAcc/").size());
      ASSIGN_OR_RETURN(const Leaves leaves, LeavesOf(node));
      DmAccount shown = Assemble(leaves);
      shown.set_device_uri(account.device_uri());
      shown.set_protocol_version(account.protocol_version());
      shown.set_acl(account.acl());
      if (account.authentication().empty()) shown.clear_authentication();
      if (!Same(shown, account)) RETURN_IF_ERROR(WriteAccount(account, node));
    }
    return absl::OkStatus();
  });
}

}  // namespace virmo::dm_bridge
