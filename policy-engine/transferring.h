// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/longrunning/operations.pb.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/pools.h"
#include "services/runtime/clock.h"
#include "services/runtime/journal.h"
#include "services/runtime/mutex.h"
#include "services/runtime/outbox.h"
#include "services/runtime/periodic_task.h"
#include "virmo/v1/policy_service.pb.h"

namespace virmo::policy_engine {

// Moves resources between two virtual machines, both ends or neither (VirMO-HLF-05). A saga whose
// every step is one transaction with the policies that it changes:
//
//   RELEASING     the donor's policy is lower; what it gave is in escrow, charged to the donor,
//                 until the controller reports that the donor really holds no more;
//   GRANTING      the escrow is the receiver's, whose policy is higher, until it really has it;
//   DONE
//   ROLLING_BACK  from GRANTING: the receiver's policy is as before, what it had been given is in
//                 escrow, charged to it, until it really holds no more; then the donor's is, too;
//   ROLLED_BACK
//
// What is real is what the controller's inventory says, not that a call returned. Who does not
// run gives and takes at once. While no controller watches, a transfer waits; then each step may
// take the time-out; but a roll-back has no time-out, since what a guest does not give back nobody
// else can have. A lock or the end of either virtual machine rolls it back. Thread-safe.
class Transferring {
 public:
  struct Parts {
    PolicyStore& store;
    Pools& pools;
    OperationJournal& journal;
    Outbox& outbox;
  };

  Transferring(const Parts& parts, Clock clock, absl::Duration timeout);

  // See PolicyService.TransferResources. INVALID_ARGUMENT; VM_NOT_FOUND; VM_LOCKED; BUSY: either
  // is in another transfer; POLICY_FORBIDS beyond either's bounds; NOT_SUPPORTED: a disk would
  // have to shrink, or there is no limit that a part could be taken of; INSUFFICIENT_RESOURCES.
  absl::StatusOr<google::longrunning::Operation> Transfer(
      const v1::TransferResourcesRequest& request);

  // Takes every unfinished transfer as far as it goes now. Returns how long until one may be late.
  absl::Duration Advance();

  // Calls Advance when it is due, on a thread of its own, until destruction.
  void Start();
  // Something was reported: Advance soon, if there is anything to do.
  void Poke();

  // A controller watches policies from now on, or no longer.
  void OnController(bool watches);

 private:
  using Entry = OperationJournal::Entry;
  struct Step;

  absl::Status Begin(const v1::TransferResourcesRequest& request);
  absl::Status AdvanceOne(const std::string& operation, absl::Duration* wait);
  absl::Status Release(Step& step);
  absl::Status Grant(Step& step);
  absl::Status RollBack(Step& step, const std::string& why);
  absl::Status FinishRollBack(Step& step);
  absl::Status GiveBack(Step& step);
  absl::Status SetState(Step& step, v1::Transfer::State state, const std::string& detail);
  absl::Status End(Step& step, const absl::Status& outcome);
  absl::Status SaveEnd(Record& record);
  bool IsLate(const Step& step, const Record& record, absl::Duration* wait);
  void Renew(Record& record);

  const Parts parts_;
  const Clock clock_;
  const absl::Duration timeout_;
  Mutex mutex_;
  int controllers_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time connected_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::unique_ptr<PeriodicTask> timer_;
};

}  // namespace virmo::policy_engine
