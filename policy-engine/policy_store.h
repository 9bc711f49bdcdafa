// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/sqlite.h"
#include "virmo/v1/policy_enforcement_service.pb.h"
#include "virmo/v1/policy_service.pb.h"

namespace virmo::policy_engine {

// All that is known of one virtual machine's policy.
struct Record {
  std::string id;           // The virtual machine's UUID.
  v1::PolicyStatus status;  // What is decided and what is in force; as shown to clients.
  std::string created_by;   // The operation whose admission made it; empty if none did.
  bool seen = false;        // Whether an inventory ever listed the virtual machine.
  // What a version that the controller may still be enforcing asked for. See pools.h.
  int64_t peak_memory = 0;
  int64_t peak_processor = 0;
  // What it takes from the primordial pools now. See pools.h.
  int64_t charged_memory = 0;
  int64_t charged_processor = 0;
  // The unfinished transfer that it takes part in, by operation id, and the memory that it holds
  // beyond its policy for that.
  std::string transfer = {};
  int64_t escrow_memory = 0;
  int64_t revision = 0;  // Counts the times it was saved.
};

// Whether the record is no more than an admission: the virtual machine was never reported, and
// nothing was decided since.
bool NeverCompleted(const Record& record);

// The controller that reports to us.
struct Controller {
  std::string instance;
  int64_t sequence = 0;
  std::optional<v1::Host> host;  // As of its last full report, whoever sent it.
};

// A change of a policy, for watchers.
using PolicyChange = v1::WatchPolicyStatusResponse;

// The durable state of policy-engine, and the order of its changes: Change() runs one after the
// other, each in one transaction, and watchers are told of them in that order once they are
// durable. So whatever is decided in one Change (a lock, an admission) is decided wholly before or
// wholly after every other. Thread-safe; `database` must outlive it.
class PolicyStore {
 public:
  static Schema GetSchema();

  // `on_storage` is told after each change whether storage works.
  PolicyStore(Database& database, std::function<void(const absl::Status&)> on_storage);

  // Runs `body` as a transaction. The methods below marked "in a change" may be called in it only.
  absl::Status Change(const std::function<absl::Status()>& body);

  // In a change: once it is committed, and before Change returns, nothing of what it overwrote or
  // deleted is left in the database's files. Where that fails Change returns the error, the change
  // itself stands, and it is tried again after the next change and at the next start.
  void ScrubAfterCommit();

  // Runs `body`, which may only read, between two changes.
  absl::Status Read(const std::function<absl::Status()>& body);

  // Subscribes, and reads every policy, with no change in between.
  using Subscription = Broadcast<PolicyChange>::Subscription;
  absl::Status Watch(std::unique_ptr<Subscription>* subscription,
                     std::vector<v1::PolicyStatus>* policies);

  // One record. VM_NOT_FOUND if there is none.
  absl::StatusOr<Record> Load(const std::string& id);
  absl::StatusOr<std::optional<Record>> Find(const std::string& id);
  // At most `limit` records with a greater id than `after`, in order.
  absl::StatusOr<std::vector<Record>> List(const std::string& after, int limit);

  // In a change: stores a record, with a new etag, and has watchers told.
  absl::Status Save(Record& record);
  // In a change: removes a record and all that hangs on it. Its version is kept, so that a later
  // record of the same id goes on from it.
  absl::Status Remove(const Record& record);
  // The version that a removed record had; 0 if there was none.
  absl::StatusOr<int64_t> RemovedVersion(const std::string& id);

  // What the controller reported of a virtual machine last.
  absl::StatusOr<std::optional<v1::InventoryItem>> Inventory(const std::string& id);
  // The virtual machine that the controller last called so.
  absl::StatusOr<std::optional<std::string>> FindByDisplayName(const std::string& name);
  absl::Status SetInventory(const std::string& id, const v1::InventoryItem& item);
  absl::Status RemoveInventory(const std::string& id);

  // Admissions that no inventory report has ended yet, by operation name.
  absl::StatusOr<std::vector<std::string>> Admissions(const std::string& id);
  absl::Status AddAdmission(const std::string& id, const std::string& operation);
  absl::Status RemoveAdmission(const std::string& id, const std::string& operation);

  struct Charges {
    int64_t memory = 0;
    int64_t processor = 0;
  };
  // The sum over all records.
  absl::StatusOr<Charges> TotalCharges();

  absl::StatusOr<Controller> GetController();
  absl::Status SetController(const Controller& controller);

  // What a request of this id was answered, for calls that make no operation.
  // REQUEST_ID_REUSED if it was another request.
  absl::StatusOr<std::optional<v1::PolicyStatus>> FindRequest(
      const std::string& request_id, const google::protobuf::Message& request);
  absl::Status AddRequest(const std::string& request_id, const google::protobuf::Message& request,
                          const v1::PolicyStatus& response, absl::Time now);
  absl::Status PruneRequests(absl::Time before);

  // Ends every subscription, for shutdown.
  void Close() { changes_.Close(); }

 private:
  absl::Status Scrub();

  Database& database_;
  const std::function<void(const absl::Status&)> on_storage_;
  std::atomic<bool> scrub_ = false;
  Broadcast<PolicyChange> changes_;
};

}  // namespace virmo::policy_engine
