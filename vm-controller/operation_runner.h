// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "services/runtime/outbox.h"
#include "services/runtime/sqlite.h"
#include "services/runtime/worker_pool.h"
#include "vm-controller/operation_plan.h"

namespace virmo::vm_controller {

// Does accepted operations, a few at a time, one at a time for each virtual machine, and ends
// each with one outcome: record, operation and alert change in one transaction. After a restart
// it goes on with what has no outcome. Thread-safe.
class OperationRunner {
 public:
  // All must outlive it. `on_end` is called with the virtual machine's id after each end.
  OperationRunner(Workshop& shop, Database& database, Outbox& outbox,
                  std::function<void(const std::string& vm_id)> on_end);
  ~OperationRunner();

  // Begins an operation that the journal holds, soon. `key`: those with the same take turns.
  void Enqueue(const std::string& id, const std::string& key);

  // Begins all that have no outcome. Once, at start.
  absl::Status Recover();

  // Makes running operations stop at the next step; they have no outcome and go on after the
  // restart.
  void Stop();

 private:
  void Run(const std::string& id);
  absl::Status RunSteps(const Job& job, const Plan& plan);
  absl::Status RunStep(const Job& job, const Step& step, std::string& recorded);
  absl::Status End(const Job& job, const Plan& plan, const absl::Status& outcome);
  absl::Status EndRecord(const Job& job, const Plan& plan, const absl::Status& outcome);
  absl::Status Alert(const Job& job, const Plan& plan, const absl::Status& outcome,
                     const v1::VirtualMachine& vm);
  void TidyUp();

  Workshop& shop_;
  Database& database_;
  Outbox& outbox_;
  const std::function<void(const std::string&)> on_end_;
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> pruned_day_ = 0;
  WorkerPool workers_;  // Last: its tasks use the others.
};

// The alert of an end or an event, without its id.
v1::Alert MakeAlert(const v1::VirtualMachine& vm, const std::string& event,
                    v1::Alert::Severity severity, const std::string& detail);

}  // namespace virmo::vm_controller
