// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/policy.pb.h"

namespace virmo::dm_bridge {

// Values of the Status node of a transfer.
enum class TransferStatus { kIdle = 10, kProgressing = 20, kDone = 30, kFailed = 40 };

// A request to move resources between virtual machines.
struct TransferRecord {
  TransferStatus status = TransferStatus::kIdle;
  std::string operation = {};  // Id of the operation that carries it out, or did; empty if none.
  v1::Transfer transfer = {};  // What the server wrote; `from` and `to` are resource names.
};

// The requests below `./VirMO/Transfers`. Durable. Thread-safe.
class TransferStore {
 public:
  static constexpr int kMaxRequests = 1000;

  static Schema GetSchema();

  explicit TransferStore(Database& database) : database_(database) {}

  absl::StatusOr<std::vector<std::string>> Names();
  absl::StatusOr<bool> Has(const std::string& name);
  // NOT_FOUND.
  absl::StatusOr<TransferRecord> Get(const std::string& name);
  // With too many the oldest that ended is forgotten; RESOURCE_EXHAUSTED
  // (INSUFFICIENT_RESOURCES) if none has.
  absl::Status Create(const std::string& name, const TransferRecord& record);
  absl::Status Set(const std::string& name, const TransferRecord& record);
  absl::Status Remove(const std::string& name);

 private:
  absl::Status MakeRoom();

  Database& database_;
};

}  // namespace virmo::dm_bridge
