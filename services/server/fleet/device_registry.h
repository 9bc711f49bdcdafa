// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/runtime/clock.h"
#include "services/runtime/sqlite.h"
#include "services/server/store/secret_box.h"
#include "virmo/v1/device.pb.h"
#include "virmo/v1/fleet_service.pb.h"

namespace virmo::server {

// What a DM session needs to know of a device. Secrets are open here: keep it short-lived.
struct DeviceRecord {
  std::string id;
  std::string client_name;        // AAuthName of CLCRED
  std::string client_credential;  // B64(H(name:secret))
  std::string server_secret;
  std::string client_nonce;   // octets; for the device's next credentials
  std::string server_nonce;   // octets; for ours
  absl::Time inventory_time;  // when all virtual machines were last read; absl::UnixEpoch(): never
  v1::Device resource;
};

// The enrolled devices and their credentials. Thread-safe; takes part in a caller's transaction.
class DeviceRegistry {
 public:
  // How this server presents itself to devices.
  struct Server {
    std::string id;
    std::string dm_url;
    std::string escrow_key = "";  // public, base64
  };

  DeviceRegistry(Database& database, const SecretBox& secrets, Clock clock);

  // Makes a device and its credentials. Secrets leave the server here and never again, hence a
  // repeat is ALREADY_EXISTS, as is a device_uri that another device has.
  absl::StatusOr<v1::Enrolment> Enrol(const v1::EnrolDeviceRequest& request, const Server& server);

  // NOT_FOUND for an unknown one. `pending_commands` is counted now.
  absl::StatusOr<v1::Device> Get(const std::string& id);
  absl::StatusOr<v1::ListDevicesResponse> List(int page_size, const std::string& page_token);

  // Forgets the device and all that is known of it. ABORTED (STALE_ETAG) if `etag` is given and
  // not the present one.
  absl::StatusOr<v1::Device> Delete(const std::string& id, const std::string& etag);

  // The device that has this URI, if one has.
  absl::StatusOr<std::optional<DeviceRecord>> FindByUri(const std::string& device_uri);
  absl::StatusOr<DeviceRecord> GetRecord(const std::string& id);

  absl::Status SetClientNonce(const std::string& id, const std::string& octets);
  absl::Status SetServerNonce(const std::string& id, const std::string& octets);
  absl::Status SetInventoryTime(const std::string& id, absl::Time time);

  // Changes what is shown of a device.
  absl::Status Update(const std::string& id, const std::function<void(v1::Device&)>& change);

  absl::StatusOr<int64_t> Count();

 private:
  absl::StatusOr<DeviceRecord> RecordOf(const SqlRow& row);
  absl::StatusOr<int> PendingCommands(const std::string& id);

  Database& database_;
  const SecretBox& secrets_;
  const Clock clock_;
};

}  // namespace virmo::server
