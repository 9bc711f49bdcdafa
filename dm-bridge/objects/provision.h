// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/operation.pb.h"

namespace virmo::dm_bridge {

// Values of the Status node of a provisioning request.
enum class ProvisionStatus {
  kIdle = 10,
  kDownloadFailed = 20,
  kDownloadProgressing = 30,
  kDownloadComplete = 40,
  kProvisionProgressing = 50,
  kProvisionFailed = 70,  // Nothing of it is left.
  kProvisioned = 80,
};

// What is known of a request besides what the server wrote into it.
struct ProvisionRecord {
  ProvisionStatus status = ProvisionStatus::kIdle;
  std::string operation = {};  // Id of the operation that carries it out, or did; empty if none.
  bool download_only = false;
  std::string vm_id = {};  // Of the new virtual machine, when provisioned.

  bool running() const {
    return status == ProvisionStatus::kDownloadProgressing ||
           status == ProvisionStatus::kProvisionProgressing;
  }
};

// The provisioning requests below `./VirMO/Provision`: what servers wrote into them, and how far
// they are. Durable. Thread-safe.
class ProvisionStore {
 public:
  static constexpr int kMaxRequests = 1000;

  static Schema GetSchema();

  explicit ProvisionStore(Database& database) : database_(database) {}

  absl::StatusOr<std::vector<std::string>> Names();
  absl::StatusOr<bool> Has(const std::string& name);
  // With too many the oldest that ended is forgotten; RESOURCE_EXHAUSTED
  // (INSUFFICIENT_RESOURCES) if none has.
  absl::Status Create(const std::string& name);
  absl::Status Remove(const std::string& name);

  // What a server wrote, by path below the request (`PkgURL`, `Resources/RAM/Size`).
  absl::StatusOr<std::optional<std::string>> GetLeaf(const std::string& name,
                                                     const std::string& path);
  // All that were written below `path`, by what follows it.
  absl::StatusOr<std::map<std::string, std::string>> LeavesBelow(const std::string& name,
                                                                 const std::string& path);
  absl::Status SetLeaf(const std::string& name, const std::string& path, const std::string& value);

  // With all below it.
  absl::Status RemoveLeaf(const std::string& name, const std::string& path);
  absl::Status Rename(const std::string& name, const std::string& to);

  // A request as a text that makes it again, with its record.
  absl::StatusOr<std::string> Save(const std::string& name);
  absl::Status Restore(const std::string& name, const std::string& saved);

  absl::StatusOr<ProvisionRecord> GetRecord(const std::string& name);
  absl::Status SetRecord(const std::string& name, const ProvisionRecord& record);

  // Takes over what an operation came to; of another's operations nothing.
  absl::Status OnOperation(const v1::OperationEvent& event);
  // Percent done, as far as it was told since this process started.
  int ProgressOf(const std::string& operation) const;

 private:
  absl::Status MakeRoom();

  Database& database_;
  mutable Mutex mutex_;
  std::map<std::string, int> progress_ ABSL_GUARDED_BY(mutex_);
};

// The record after `event`, of the operation that it names.
ProvisionRecord Advance(ProvisionRecord record, const v1::OperationEvent& event);

}  // namespace virmo::dm_bridge
