// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/accounts/account_store.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/text_format.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/program.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/syncml/base64.h"

namespace virmo::dm_bridge {
namespace {

// Only to tell whether a file changed.
constexpr absl::string_view kFingerprintSpace = "6b1f5a52-3a5c-5e0c-9a0c-0d1a7a3f9c11";

absl::StatusOr<std::string> Octets(absl::string_view field, const std::string& base64) {
  absl::StatusOr<std::string> octets = syncml::Base64Decode(base64);
  if (!octets.ok()) return InvalidField(field, "not base64");
  return octets;
}

// The host of `http://HOST:PORT/…`, without brackets.
absl::string_view HostOf(absl::string_view url) {
  absl::string_view host = url.substr(url.find("://") + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (!host.empty() && host.front() == '[') return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

absl::Status CheckAuthentication(const config::v1::DmAccount& account, bool https) {
  const std::string& kind = account.authentication();
  const bool transport = kind == "TRANSPORT";
  if (!kind.empty() && kind != "DIGEST" && kind != "HMAC" && kind != "BASIC" && !transport) {
    return InvalidField("authentication",
                        absl::StrCat("none of DIGEST, HMAC, BASIC, TRANSPORT: ", kind));
  }
  if ((kind == "BASIC" || transport) && !https) {
    return InvalidField("authentication", absl::StrCat(kind, " is for https only"));
  }
  if (account.client_secret().empty() && !transport) {
    return InvalidField("client_secret", "missing");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAddress(absl::string_view url) {
  if (absl::StartsWithIgnoreCase(url, "https://")) return absl::OkStatus();
  if (!absl::StartsWithIgnoreCase(url, "http://")) {
    return InvalidField("address", absl::StrCat("not an http(s) URL: ", url));
  }
  const absl::string_view host = HostOf(url);
  // A user part could hide the true host behind one that looks like loopback.
  const bool plain = url.find('@') == absl::string_view::npos;
  if (plain && (host == "localhost" || host == "::1" || host == "127.0.0.1")) {
    return absl::OkStatus();
  }
  return InvalidField("address", absl::StrCat("plain http is for loopback only, use https: ", url));
}

absl::Status CheckAccount(const config::v1::DmAccount& account) {
  if (account.server_id().empty()) return InvalidField("server_id", "missing");
  RETURN_IF_ERROR(CheckAddress(account.address()));
  if (account.device_uri().empty()) return InvalidField("device_uri", "missing");
  if (account.client_name().empty()) return InvalidField("client_name", "missing");
  const bool https = absl::StartsWithIgnoreCase(account.address(), "https://");
  RETURN_IF_ERROR(CheckAuthentication(account, https));
  if (account.server_secret().empty() && !https) {
    return InvalidField("server_secret", "missing; without TLS nothing else proves the server");
  }
  const std::string& version = account.protocol_version();
  if (!version.empty() && version != "DM/1.2" && version != "DM/1.3") {
    return InvalidField("protocol_version", absl::StrCat("neither DM/1.2 nor DM/1.3: ", version));
  }
  RETURN_IF_ERROR(Octets("client_nonce", account.client_nonce()).status());
  return Octets("server_nonce", account.server_nonce()).status();
}

Schema AccountStore::GetSchema() {
  return {"accounts",
          {"CREATE TABLE account (server_id TEXT PRIMARY KEY, account BLOB NOT NULL,"
           " client_nonce BLOB, server_nonce_1 BLOB, server_nonce_2 BLOB);"
           "CREATE TABLE account_file (path TEXT PRIMARY KEY, fingerprint TEXT NOT NULL)",
           "ALTER TABLE account ADD COLUMN met INTEGER NOT NULL DEFAULT 0;"
           "CREATE TABLE notification (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL)"}};
}

absl::Status AccountStore::Import(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path, 1 << 20));
  const std::string fingerprint = NameUuid(kFingerprintSpace, content);
  ASSIGN_OR_RETURN(const std::vector<SqlRow> known,
                   database_.Query("SELECT fingerprint FROM account_file WHERE path = ?1", {path}));
  if (!known.empty() && known[0].Text(0) == fingerprint) return absl::OkStatus();
  config::v1::DmAccount account;
  RETURN_IF_ERROR(ReadTextProto(path, account));
  if (absl::Status checked = CheckAccount(account); !checked.ok()) {
    return Annotate(checked, path);
  }
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(Put(account));
    return database_.Execute(
        "INSERT OR REPLACE INTO account_file (path, fingerprint) VALUES (?1, ?2)",
        {path, fingerprint});
  });
}

absl::Status AccountStore::Put(const config::v1::DmAccount& account) {
  return database_.Transact([&] { return PutInTransaction(account); });
}

absl::Status AccountStore::PutInTransaction(const config::v1::DmAccount& account) {
  RETURN_IF_ERROR(CheckAccount(account));
  RETURN_IF_ERROR(
      database_.Execute("INSERT OR REPLACE INTO account (server_id, account) VALUES (?1, ?2)",
                        {account.server_id(), Blob{account.SerializeAsString()}}));
  Nonces nonces;
  ASSIGN_OR_RETURN(const std::string client, Octets("client_nonce", account.client_nonce()));
  ASSIGN_OR_RETURN(const std::string server, Octets("server_nonce", account.server_nonce()));
  if (!client.empty()) nonces.client = client;
  if (!server.empty()) nonces.server = {server};
  return SaveNonces(account.server_id(), nonces);
}

absl::StatusOr<std::vector<config::v1::DmAccount>> AccountStore::List() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT server_id, account FROM account ORDER BY server_id"));
  std::vector<config::v1::DmAccount> accounts;
  for (const SqlRow& row : rows) {
    if (!accounts.emplace_back().ParseFromString(row.Text(1))) {
      return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                   absl::StrCat("the account of ", row.Text(0), " cannot be read back"));
    }
  }
  return accounts;
}

absl::Status AccountStore::Remove(const std::string& server_id) {
  return database_.Execute("DELETE FROM account WHERE server_id = ?1", {server_id});
}

absl::StatusOr<Nonces> AccountStore::GetNonces(const std::string& server_id) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT client_nonce, server_nonce_1, server_nonce_2 "
                                   "FROM account WHERE server_id = ?1",
                                   {server_id}));
  if (rows.empty()) return Error(v1::ErrorInfo::REASON_NOT_FOUND, "no such account");
  Nonces nonces;
  if (!rows[0].IsNull(0)) nonces.client = rows[0].Text(0);
  if (!rows[0].IsNull(1)) nonces.server.push_back(rows[0].Text(1));
  if (!rows[0].IsNull(2)) nonces.server.push_back(rows[0].Text(2));
  return nonces;
}

absl::Status AccountStore::SaveNonces(const std::string& server_id, const Nonces& nonces) {
  ASSIGN_OR_RETURN(const Nonces stored, GetNonces(server_id));
  if (stored == nonces) return absl::OkStatus();
  const auto value = [](bool present, const std::string& octets) -> SqlValue {
    if (!present) return nullptr;
    return Blob{octets};
  };
  return database_.Execute(
      "UPDATE account SET client_nonce = ?2, server_nonce_1 = ?3, server_nonce_2 = ?4 "
      "WHERE server_id = ?1",
      {server_id, value(nonces.client.has_value(), nonces.client.value_or("")),
       value(!nonces.server.empty(), nonces.server.empty() ? "" : nonces.server[0]),
       value(nonces.server.size() > 1, nonces.server.size() > 1 ? nonces.server[1] : "")});
}

absl::StatusOr<bool> AccountStore::HasMet(const std::string& server_id) {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT met FROM account WHERE server_id = ?1", {server_id}));
  return !rows.empty() && rows[0].Int(0) != 0;
}

absl::Status AccountStore::SetMet(const std::string& server_id) {
  return database_.Execute("UPDATE account SET met = 1 WHERE server_id = ?1", {server_id});
}

absl::StatusOr<std::vector<std::string>> AccountStore::Notifications() {
  ASSIGN_OR_RETURN(const std::vector<SqlRow> rows,
                   database_.Query("SELECT key FROM notification ORDER BY id"));
  std::vector<std::string> keys;
  for (const SqlRow& row : rows) keys.push_back(row.Text(0));
  return keys;
}

absl::Status AccountStore::RememberNotification(const std::string& key) {
  return database_.Transact([&]() -> absl::Status {
    RETURN_IF_ERROR(database_.Execute("INSERT INTO notification (key) VALUES (?1)", {key}));
    return database_.Execute(
        "DELETE FROM notification WHERE id <= (SELECT MAX(id) FROM notification) - ?1",
        {int64_t{kNotifications}});
  });
}

absl::Status AccountStore::SaveProtocolVersion(const std::string& server_id,
                                               const std::string& version) {
  ASSIGN_OR_RETURN(std::vector<config::v1::DmAccount> accounts, List());
  for (config::v1::DmAccount& account : accounts) {
    if (account.server_id() != server_id) continue;
    account.set_protocol_version(version);
    return database_.Execute("UPDATE account SET account = ?2 WHERE server_id = ?1",
                             {server_id, Blob{account.SerializeAsString()}});
  }
  return Error(v1::ErrorInfo::REASON_NOT_FOUND, "no such account");
}

}  // namespace virmo::dm_bridge
