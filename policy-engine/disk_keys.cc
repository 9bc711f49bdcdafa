// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/disk_keys.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

// Operations of one virtual machine that may obtain its key: the last that were admitted.
constexpr int kMaxGrants = 16;

std::string HostContext(const Record& record) { return "virmo disk key 1 host " + record.id; }
std::string CheckContext(const Record& record) { return "virmo disk key 1 check " + record.id; }

absl::Status Unavailable(const Record& record, absl::string_view why) {
  const std::string name = VirtualMachineName(record.id);
  return Error(v1::ErrorInfo::REASON_KEY_UNAVAILABLE,
               absl::StrCat("the key of ", name, " is not available: ", why),
               {{"virtual_machine", name}});
}

}  // namespace

KeyCredentials KeyCredentials::Load(const config::v1::PolicyEngineConfig& config) {
  const bool own = config.host_key_file().empty();
  KeyCredentials credentials = {
      LoadHostKey(own ? config.state_directory() + "/host.key" : config.host_key_file(), own),
      absl::NotFoundError("escrow_public_key_file is not configured")};
  if (!config.escrow_public_key_file().empty()) {
    credentials.escrow = LoadPublicKey(config.escrow_public_key_file());
  }
  return credentials;
}

absl::Status DiskKeys::Make(Record& record) {
  for (const absl::Status& status : {credentials_.escrow.status(), credentials_.host.status()}) {
    if (!status.ok()) {
      return Unavailable(record, absl::StrCat("it could not be kept: ", status.message()));
    }
  }
  return Store(record, Key::Random());
}

absl::Status DiskKeys::Store(Record& record, const Key& key) {
  RETURN_IF_ERROR(credentials_.host.status());
  RETURN_IF_ERROR(
      database_.Execute("INSERT INTO disk_keys VALUES (?1, ?2, ?3)"
                        " ON CONFLICT (id) DO UPDATE SET check_value = ?2, host_wrap = ?3",
                        {record.id, Blob{CheckValueOf(key, CheckContext(record))},
                         Blob{Wrap(key, *credentials_.host, HostContext(record))}}));
  // Without the server's key the former escrow stays good: it is of the same key.
  if (credentials_.escrow.ok()) record.status.set_key_escrow(SealKey(key, *credentials_.escrow));
  record.status.set_key_on_device(true);
  return absl::OkStatus();
}

absl::Status DiskKeys::Grant(const Record& record, const std::string& operation) {
  if (!IsEncrypted(record)) return absl::OkStatus();
  RETURN_IF_ERROR(Load(record).status());
  RETURN_IF_ERROR(
      database_.Execute("INSERT OR REPLACE INTO disk_key_grants (id, operation) VALUES (?1, ?2)",
                        {record.id, operation}));
  return database_.Execute(
      "DELETE FROM disk_key_grants WHERE id = ?1 AND serial NOT IN (SELECT serial FROM"
      " disk_key_grants WHERE id = ?1 ORDER BY serial DESC LIMIT ?2)",
      {record.id, int64_t{kMaxGrants}});
}

absl::Status DiskKeys::Destroy(Record& record) {
  if (!IsEncrypted(record) || !record.status.key_on_device()) return absl::OkStatus();
  RETURN_IF_ERROR(database_.Execute(
      "UPDATE disk_keys SET host_wrap = zeroblob(length(host_wrap)) WHERE id = ?1", {record.id}));
  RETURN_IF_ERROR(database_.Execute("DELETE FROM disk_key_grants WHERE id = ?1", {record.id}));
  record.status.set_key_on_device(false);
  store_.ScrubAfterCommit();
  return absl::OkStatus();
}

absl::Status DiskKeys::Restore(Record& record, const Key& key) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT check_value FROM disk_keys WHERE id = ?1", {record.id}));
  // Of a record that was lost with its key nothing is known, not even that there was one.
  const bool lost = rows.empty() && record.created_by.empty();
  if (rows.empty() && !lost) {
    return InvalidField("released_key",
                        absl::StrCat(VirtualMachineName(record.id), " is not encrypted"));
  }
  if (!lost && !SameOctets(rows[0].Text(0), CheckValueOf(key, CheckContext(record)))) {
    return InvalidField("released_key",
                        absl::StrCat("is not the key of ", VirtualMachineName(record.id)));
  }
  if (lost) RETURN_IF_ERROR(credentials_.escrow.status());
  return Store(record, key);
}

absl::StatusOr<Key> DiskKeys::Load(const Record& record) {
  if (!IsEncrypted(record)) return Unavailable(record, "it is not encrypted");
  if (!record.status.key_on_device()) {
    return Unavailable(record, "the server must release it, with an unlock");
  }
  if (!credentials_.host.ok()) return Unavailable(record, credentials_.host.status().message());
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT host_wrap FROM disk_keys WHERE id = ?1", {record.id}));
  std::optional<Key> key;
  if (!rows.empty()) key = Unwrap(rows[0].Text(0), *credentials_.host, HostContext(record));
  if (!key) {
    return Unavailable(record, "the host's key is another one by now; the server must release it");
  }
  return *key;
}

absl::StatusOr<v1::ObtainDiskKeyResponse> DiskKeys::Obtain(
    const v1::ObtainDiskKeyRequest& request) {
  ASSIGN_OR_RETURN(const std::string id,
                   VirtualMachineId(request.virtual_machine(), "virtual_machine"));
  RETURN_IF_ERROR(OperationId(request.operation(), "operation").status());
  v1::ObtainDiskKeyResponse response;
  RETURN_IF_ERROR(store_.Read([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const Record record, store_.Load(id));
    if (record.status.policy().lock().locked()) {
      return Error(v1::ErrorInfo::REASON_VM_LOCKED,
                   absl::StrCat(request.virtual_machine(), " is locked"),
                   {{"virtual_machine", request.virtual_machine()}});
    }
    ASSIGN_OR_RETURN(const Key key, Load(record));
    ASSIGN_OR_RETURN(
        const auto grants,
        database_.Query("SELECT 1 FROM disk_key_grants WHERE id = ?1 AND operation = ?2",
                        {id, request.operation()}));
    if (grants.empty()) {
      return Unavailable(record, absl::StrCat(request.operation(), " was not admitted"));
    }
    response.set_key(std::string(key.octets()));
    return absl::OkStatus();
  }));
  return response;
}

}  // namespace virmo::policy_engine
