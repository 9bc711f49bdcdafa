// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "vm-controller/controller.h"
#include "vm-controller/fake_hypervisor.h"
#include "vm-controller/fake_policy_engine.h"

namespace virmo::vm_controller {

// A controller over a fake hypervisor and a fake policy-engine, with a real database, real files
// and a real little disk image. It can be "killed" and made again over the same state.
class ControllerFixture : public testing::Test {
 protected:
  using Operation = google::longrunning::Operation;

  ControllerFixture();
  ~ControllerFixture() override;

  // Makes the controller, before Start().
  void Make();
  // Makes and starts it; waits until it has seen the hypervisor.
  void Launch();
  // Ends it, and makes and starts another over the same state.
  void Restart();
  // Ends it; the database stays open.
  void End();

  // Waits for the end of an operation that was accepted, and returns its outcome.
  absl::Status Outcome(const absl::StatusOr<Operation>& operation);

  // Requests, each with a request id of its own.
  v1::CreateVirtualMachineRequest ProvisionRequest(const std::string& name, bool start = false);
  std::string Provision(const std::string& name, bool start = false);  // Returns the id.
  absl::StatusOr<Operation> Do(v1::OperationKind kind, const std::string& id, bool force = false,
                               const std::string& request_id = NewUuid());
  absl::StatusOr<Operation> Stop(const v1::StopVirtualMachineRequest& request);
  absl::StatusOr<Operation> Clone(const std::string& id, const std::string& display_name = "");

  // Hands a decision of the fake policy-engine to the controller, as its stream would.
  void Lock(const std::string& id, v1::Lock::Mode mode = v1::Lock::MODE_ISOLATE_AND_PAUSE);
  void Unlock(const std::string& id);

  v1::VirtualMachine Vm(const std::string& id);
  v1::VirtualMachine::State StateOf(const std::string& id);
  DomainState DomainStateOf(const std::string& id);
  // Alerts that wait in the outbox, by event: `Start`.
  std::vector<v1::Alert> Alerts(const std::string& event);
  int FilesIn(const std::string& folder);

  // Writes an unfinished operation and the record it left, as a killed controller would.
  void GivenUnfinished(v1::OperationKind kind, const std::string& id, const std::string& step,
                       const google::protobuf::Message& request, const std::string& request_id);

  // Whether it becomes so soon.
  static bool Soon(const std::function<bool()>& condition);

  std::string directory_;
  std::string boot_id_ = "boot 1";
  config::v1::VmControllerConfig config_;
  v1::Package package_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<OperationJournal> journal_;
  std::unique_ptr<Outbox> outbox_;
  FakeHypervisor hypervisor_;
  FakePolicyEngine policy_;
  std::unique_ptr<EventRelay> events_;
  std::unique_ptr<Controller> controller_;
};

}  // namespace virmo::vm_controller
