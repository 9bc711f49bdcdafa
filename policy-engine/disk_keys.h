// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "policy-engine/key_crypto.h"
#include "policy-engine/policy_store.h"
#include "virmo/config/v1/policy_engine_config.pb.h"
#include "virmo/v1/policy_enforcement_service.pb.h"

namespace virmo::policy_engine {

// What data keys are protected with. Read once, at the start.
struct KeyCredentials {
  static KeyCredentials Load(const config::v1::PolicyEngineConfig& config);

  absl::StatusOr<Key> host;            // Wraps keys on this device.
  absl::StatusOr<std::string> escrow;  // The server's public key.
};

// The data keys of encrypted virtual machines. A key is never stored plain. It is
//   - sealed for the server, always: PolicyStatus.key_escrow;
//   - wrapped by the host's key while the virtual machine is not locked, so that it starts off
//     line. A lock destroys this wrap, in its own transaction; the files keep no trace of it once
//     the call has returned. The server's unlock brings it back;
//   - wrapped under the user's secret, if the server granted that: user_unlock.h.
// A check value tells the key from any other. Methods belong in a PolicyStore::Change unless they
// say otherwise, and leave the record to be saved by the caller.
class DiskKeys {
 public:
  // All must outlive it.
  DiskKeys(Database& database, PolicyStore& store, KeyCredentials credentials)
      : database_(database), store_(store), credentials_(std::move(credentials)) {}

  const KeyCredentials& credentials() const { return credentials_; }

  static bool IsEncrypted(const Record& record) { return !record.status.key_escrow().empty(); }

  // Makes the key of a new virtual machine. KEY_UNAVAILABLE without both credentials: what cannot
  // be escrowed would be lost at the first lock.
  absl::Status Make(Record& record);

  // Lets an admitted operation obtain the key. KEY_UNAVAILABLE if it is not on the device.
  absl::Status Grant(const Record& record, const std::string& operation);

  // Makes the key unreadable on this device, until it is restored.
  absl::Status Destroy(Record& record);

  // Brings the key back, sealed anew for the server. INVALID_ARGUMENT if it is another key than
  // the virtual machine was made with. A record that was lost with its key takes what it is given;
  // another one that is not encrypted takes none.
  absl::Status Restore(Record& record, const Key& key);

  // The key, while it is on the device. KEY_UNAVAILABLE.
  absl::StatusOr<Key> Load(const Record& record);

  // See PolicyEnforcementService.ObtainDiskKey. Not for use in a change.
  absl::StatusOr<v1::ObtainDiskKeyResponse> Obtain(const v1::ObtainDiskKeyRequest& request);

 private:
  absl::Status Store(Record& record, const Key& key);

  Database& database_;
  PolicyStore& store_;
  const KeyCredentials credentials_;
};

}  // namespace virmo::policy_engine
