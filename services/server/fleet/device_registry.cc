// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/device_registry.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/protobuf/text_format.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/fleet/notification_sender.h"
#include "services/server/store/page.h"
#include "services/syncml/auth.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {
namespace {

constexpr size_t kSecretOctets = 24;

absl::Status NotFound(absl::string_view id) {
  return Error(v1::ErrorInfo::REASON_NOT_FOUND,
               absl::StrCat("no device ", DeviceName(id), "; enrol it first"),
               {{"device", DeviceName(id)}});
}

absl::Status ParseResource(const SqlRow& row, size_t column, google::protobuf::Message& message) {
  if (message.ParseFromString(row.Text(column))) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "a device's record is damaged");
}

std::string Etag(const v1::Device& device) {
  v1::Device bare = device;
  bare.clear_etag();
  bare.clear_pending_commands();
  return NameUuid("6ba7b811-9dad-11d1-80b4-00c04fd430c8", bare.SerializeAsString());
}

std::string CredentialContext(absl::string_view id) { return absl::StrCat("client:", id); }
std::string SecretContext(absl::string_view id) { return absl::StrCat("server:", id); }

absl::Status CheckNotificationAddress(const std::string& address) {
  if (address.empty()) return absl::OkStatus();
  const absl::Status checked = CheckAddress(address);
  if (checked.ok()) return absl::OkStatus();
  return InvalidField("device.notification_address", checked.message());
}

absl::Status CheckEnrolment(const v1::EnrolDeviceRequest& request) {
  if (!IsDeviceId(request.device_id())) {
    return InvalidField("device_id", "device_id must be 1 to 63 of [a-z0-9-]");
  }
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    return InvalidField("request_id", "request_id must be a lower-case UUID");
  }
  const std::string& uri = request.device().device_uri();
  if (uri.size() > 255 || uri.find_first_of(" \t\r\n<>&") != std::string::npos) {
    return InvalidField("device.device_uri", "device_uri must be a URI of at most 255 characters");
  }
  if (request.device().display_name().size() > 255) {
    return InvalidField("device.display_name", "display_name must have at most 255 octets");
  }
  return CheckNotificationAddress(request.device().notification_address());
}

absl::StatusOr<config::v1::DmAccount> MakeAccount(const std::string& id,
                                                  const std::string& device_uri,
                                                  const DeviceRegistry::Server& server) {
  config::v1::DmAccount account;
  account.set_server_id(server.id);
  account.set_address(server.dm_url);
  account.set_device_uri(device_uri);
  account.set_client_name(id);
  ASSIGN_OR_RETURN(*account.mutable_client_secret(), RandomHex(kSecretOctets));
  account.set_server_name(server.id);
  ASSIGN_OR_RETURN(*account.mutable_server_secret(), RandomHex(kSecretOctets));
  // With nonces on both sides from the start, the first session needs no challenge.
  ASSIGN_OR_RETURN(const std::string client_nonce, syncml::RandomNonce());
  ASSIGN_OR_RETURN(const std::string server_nonce, syncml::RandomNonce());
  account.set_client_nonce(syncml::Base64Encode(client_nonce));
  account.set_server_nonce(syncml::Base64Encode(server_nonce));
  return account;
}

absl::StatusOr<Blob> Octets(const std::string& base64) {
  ASSIGN_OR_RETURN(std::string octets, syncml::Base64Decode(base64));
  return Blob{std::move(octets)};
}

constexpr const char* kRecordColumns =
    "SELECT id, client_credential, server_secret, client_nonce, server_nonce, inventory_time, "
    "resource FROM device ";

}  // namespace

DeviceRegistry::DeviceRegistry(Database& database, const SecretBox& secrets, Clock clock)
    : database_(database), secrets_(secrets), clock_(std::move(clock)) {}

absl::StatusOr<v1::Enrolment> DeviceRegistry::Enrol(const v1::EnrolDeviceRequest& request,
                                                    const Server& server) {
  RETURN_IF_ERROR(CheckEnrolment(request));
  const std::string& id = request.device_id();
  v1::Enrolment enrolment;
  v1::Device& device = *enrolment.mutable_device();
  device.set_name(DeviceName(id));
  device.set_display_name(request.device().display_name());
  device.set_device_uri(request.device().device_uri().empty() ? absl::StrCat("urn:uuid:", NewUuid())
                                                              : request.device().device_uri());
  device.set_notification_address(request.device().notification_address());
  *device.mutable_create_time() = ToTimestamp(clock_());
  ASSIGN_OR_RETURN(const auto account, MakeAccount(id, device.device_uri(), server));
  google::protobuf::TextFormat::PrintToString(account, enrolment.mutable_account_textproto());
  if (!server.escrow_key.empty()) {
    absl::StrAppend(enrolment.mutable_account_textproto(),
                    "# For policy-engine's escrow_public_key_file: ", server.escrow_key, "\n");
  }

  ASSIGN_OR_RETURN(
      std::string credential,
      secrets_.Seal(syncml::HashedCredential(account.client_name(), account.client_secret()),
                    CredentialContext(id)));
  ASSIGN_OR_RETURN(std::string secret, secrets_.Seal(account.server_secret(), SecretContext(id)));
  ASSIGN_OR_RETURN(Blob client_nonce, Octets(account.client_nonce()));
  ASSIGN_OR_RETURN(Blob server_nonce, Octets(account.server_nonce()));
  const absl::Status inserted = database_.Execute(
      "INSERT INTO device (id, device_uri, client_credential, server_secret, client_nonce, "
      "server_nonce, inventory_time, resource) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
      {id, device.device_uri(), Blob{std::move(credential)}, Blob{std::move(secret)},
       std::move(client_nonce), std::move(server_nonce), Blob{device.SerializeAsString()}});
  if (absl::IsAlreadyExists(inserted)) {
    return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                 absl::StrCat("device ", id,
                              " or its device_uri is enrolled already; secrets are "
                              "shown once, so to get new ones delete it and enrol it again"),
                 {{"device", DeviceName(id)}});
  }
  RETURN_IF_ERROR(inserted);
  device.set_etag(Etag(device));
  return enrolment;
}

absl::StatusOr<int> DeviceRegistry::PendingCommands(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM command WHERE device = ?1 AND state < ?2",
                                   {id, int64_t{v1::Command::STATE_APPLIED}}));
  return static_cast<int>(rows[0].Int(0));
}

absl::StatusOr<v1::Device> DeviceRegistry::Get(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT resource FROM device WHERE id = ?1", {id}));
  if (rows.empty()) return NotFound(id);
  v1::Device device;
  RETURN_IF_ERROR(ParseResource(rows[0], 0, device));
  ASSIGN_OR_RETURN(const int pending, PendingCommands(id));
  device.set_pending_commands(pending);
  device.set_etag(Etag(device));
  return device;
}

absl::StatusOr<v1::ListDevicesResponse> DeviceRegistry::List(int page_size,
                                                             const std::string& page_token) {
  ASSIGN_OR_RETURN(const int size, PageSize(page_size));
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query("SELECT d.resource, d.id, (SELECT COUNT(*) FROM command c WHERE "
                      "c.device = d.id AND c.state < ?3) FROM device d WHERE d.id > "
                      "?1 ORDER BY d.id LIMIT ?2",
                      {page_token, int64_t{size} + 1, int64_t{v1::Command::STATE_APPLIED}}));
  v1::ListDevicesResponse response;
  for (const SqlRow& row : rows) {
    if (response.devices_size() == size) {
      absl::string_view last = response.devices(size - 1).name();
      absl::ConsumePrefix(&last, "devices/");
      response.set_next_page_token(std::string(last));
      break;
    }
    v1::Device& device = *response.add_devices();
    RETURN_IF_ERROR(ParseResource(row, 0, device));
    device.set_pending_commands(static_cast<int>(row.Int(2)));
    device.set_etag(Etag(device));
  }
  return response;
}

absl::StatusOr<v1::Device> DeviceRegistry::Delete(const std::string& id, const std::string& etag) {
  v1::Device device;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(device, Get(id));
    if (!etag.empty() && etag != device.etag()) {
      return Error(v1::ErrorInfo::REASON_STALE_ETAG,
                   absl::StrCat(device.name(), " has changed; read it again"));
    }
    RETURN_IF_ERROR(database_.Execute(
        "DELETE FROM exchange WHERE command IN (SELECT id FROM command WHERE device = ?1)", {id}));
    RETURN_IF_ERROR(database_.Execute(
        "DELETE FROM object_chunk WHERE token IN (SELECT token FROM dm_session WHERE device = ?1)",
        {id}));
    RETURN_IF_ERROR(
        database_.Execute("DELETE FROM lockout WHERE device_uri = ?1", {device.device_uri()}));
    for (const char* table :
         {"command", "alert", "virtual_machine", "unread", "dm_session", "key_escrow"}) {
      RETURN_IF_ERROR(
          database_.Execute(absl::StrCat("DELETE FROM ", table, " WHERE device = ?1"), {id}));
    }
    return database_.Execute("DELETE FROM device WHERE id = ?1", {id});
  }));
  return device;
}

absl::StatusOr<DeviceRecord> DeviceRegistry::RecordOf(const SqlRow& row) {
  DeviceRecord record;
  record.id = row.Text(0);
  record.client_name = record.id;
  ASSIGN_OR_RETURN(record.client_credential,
                   secrets_.Unseal(row.Text(1), CredentialContext(record.id)));
  ASSIGN_OR_RETURN(record.server_secret, secrets_.Unseal(row.Text(2), SecretContext(record.id)));
  record.client_nonce = row.Text(3);
  record.server_nonce = row.Text(4);
  record.inventory_time = absl::FromUnixMicros(row.Int(5));
  RETURN_IF_ERROR(ParseResource(row, 6, record.resource));
  return record;
}

absl::StatusOr<std::optional<DeviceRecord>> DeviceRegistry::FindByUri(
    const std::string& device_uri) {
  ASSIGN_OR_RETURN(
      const auto rows,
      database_.Query(absl::StrCat(kRecordColumns, "WHERE device_uri = ?1"), {device_uri}));
  if (rows.empty()) return std::optional<DeviceRecord>();
  ASSIGN_OR_RETURN(DeviceRecord record, RecordOf(rows[0]));
  return std::optional<DeviceRecord>(std::move(record));
}

absl::StatusOr<DeviceRecord> DeviceRegistry::GetRecord(const std::string& id) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query(absl::StrCat(kRecordColumns, "WHERE id = ?1"), {id}));
  if (rows.empty()) return NotFound(id);
  return RecordOf(rows[0]);
}

absl::Status DeviceRegistry::SetClientNonce(const std::string& id, const std::string& octets) {
  return database_.Execute("UPDATE device SET client_nonce = ?2 WHERE id = ?1", {id, Blob{octets}});
}

absl::Status DeviceRegistry::SetServerNonce(const std::string& id, const std::string& octets) {
  return database_.Execute("UPDATE device SET server_nonce = ?2 WHERE id = ?1", {id, Blob{octets}});
}

absl::Status DeviceRegistry::SetInventoryTime(const std::string& id, absl::Time time) {
  return database_.Execute("UPDATE device SET inventory_time = ?2 WHERE id = ?1",
                           {id, absl::ToUnixMicros(time)});
}

absl::Status DeviceRegistry::Update(const std::string& id,
                                    const std::function<void(v1::Device&)>& change) {
  return database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const auto rows,
                     database_.Query("SELECT resource FROM device WHERE id = ?1", {id}));
    if (rows.empty()) return NotFound(id);
    v1::Device device;
    RETURN_IF_ERROR(ParseResource(rows[0], 0, device));
    change(device);
    return database_.Execute("UPDATE device SET resource = ?2 WHERE id = ?1",
                             {id, Blob{device.SerializeAsString()}});
  });
}

absl::StatusOr<int64_t> DeviceRegistry::Count() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("SELECT COUNT(*) FROM device"));
  return rows[0].Int(0);
}

}  // namespace virmo::server
