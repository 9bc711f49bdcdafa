// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/recovery.h"
#include "services/runtime/clock.h"
#include "services/runtime/journal.h"
#include "services/runtime/outbox.h"
#include "services/runtime/periodic_task.h"
#include "virmo/v1/policy_enforcement_service.pb.h"

namespace virmo::policy_engine {

// How far the lock of a policy, or its absence, is in force.
struct LockProgress {
  bool in_force = false;
  std::string open;             // What is not, with causes; empty if nothing was reported to fail.
  std::string not_enforceable;  // What this host cannot do; counts as done, but is told.
};
LockProgress LockProgressOf(const v1::PolicyStatus& status);

// Carries Lock, Unlock and SetPeripheral operations from the decision to their one outcome: in
// force by the controller's report, failed when the time is over, superseded by a contrary
// decision, or without an object because the virtual machine is gone. The outcome and its alert are
// one transaction. Whatever the outcome, the decision stands. Thread-safe.
class Enforcement {
 public:
  struct Parts {
    PolicyStore& store;
    OperationJournal& journal;
    Outbox& outbox;
    Recovery& recovery;
  };

  // `timeout` counts from an operation's create_time, so it goes on while we are down.
  Enforcement(const Parts& parts, Clock clock, absl::Duration timeout);

  // In a change: begins an operation that ends when the record's present version is in force.
  absl::Status Begin(const Record& record, const std::string& request_id,
                     const v1::OperationMetadata& metadata,
                     const google::protobuf::Message& request);

  // In a change: ends unfinished operations of `kind` on the virtual machine as CANCELLED, since
  // a later decision contradicts them.
  absl::Status Supersede(const Record& record, v1::OperationKind kind);

  // As above, those that `contradicts` picks; `detail` says by what.
  using Pick = std::function<bool(const OperationJournal::Entry&)>;
  absl::Status Supersede(const Record& record, const Pick& contradicts, const std::string& detail);

  // In a change: ends unfinished operations on a virtual machine that was deleted.
  absl::Status EndAll(const Record& record);

  // Takes the controller's report, and ends what it completes. Returns the newest version. A
  // version that was never decided here means that our record is older than the controller's:
  // see Recovery. VM_NOT_FOUND.
  absl::StatusOr<int64_t> Report(const v1::ReportAppliedRequest& request);

  // Ends operations whose time is over. Returns how long until the next one may be.
  absl::Duration EndOverdue();

  // Calls EndOverdue when it is due, on a thread of its own, until destruction.
  void Start();

 private:
  using Entry = OperationJournal::Entry;

  absl::Status EndEnforced(const Record& record);
  absl::Status EndEnforcedPeripheral(const Entry& entry, const Record& record);
  absl::Status EndLate(const Entry& entry);
  absl::Status End(const Entry& entry, const Record& record, const absl::Status& outcome,
                   const std::string& detail);
  absl::StatusOr<std::vector<Entry>> UnfinishedOf(const Record& record);

  const Parts parts_;
  const Clock clock_;
  const absl::Duration timeout_;
  std::unique_ptr<PeriodicTask> timer_;
};

}  // namespace virmo::policy_engine
