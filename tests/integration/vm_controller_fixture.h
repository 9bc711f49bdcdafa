// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "gtest/gtest.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "tests/integration/policy_server_fixture.h"
#include "virmo/v1/snapshot_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo::vm_controller {

// The program itself, on a real hypervisor with a real guest, through its gRPC address; only
// policy-engine is a fake one.
class VmControllerFixture : public testing::Test {
 protected:
  using Operation = google::longrunning::Operation;
  using Stub = v1::VirtualMachineService::Stub;

  void SetUp() override;
  void TearDown() override;

  // Starts the program. `fault`: the point where it is to kill itself; empty: nowhere.
  void StartProgram(const std::string& fault = "");
  void StopProgram(int signal);
  // Waits until it has killed itself.
  void AwaitDeath();
  // More lines for its configuration.
  virtual std::string ExtraConfiguration() { return ""; }
  virtual std::string HypervisorUri() { return "qemu:///embed"; }
  // The program sees this text as the kernel's boot id from its next start on. Needs root.
  void SetBootId(const std::string& boot_id);
  // Types a line on a guest's console; it runs it.
  void Type(const std::string& id, const std::string& line);
  std::string ConsoleOf(const std::string& id);
  // Files below `directory` that hold the text.
  static std::vector<std::string> FilesWith(const std::string& text, const std::string& directory);

  v1::VirtualMachine Vm(const std::string& id);

  // Sends a request with an id of its own (or the one it has) and waits for the end.
  template <typename Request>
  absl::Status Do(const std::string& id,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Operation*),
                  Request request = {}) {
    if (request.request_id().empty()) request.set_request_id(NewUuid());
    request.set_name(VirtualMachineName(id));
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = (*vms_.*method)(&context, request, &operation);
    return Outcome(status, operation);
  }
  // Sends a request and does not care for the answer: the program is about to die.
  template <typename Request>
  void Send(const std::string& id,
            grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Operation*),
            const std::string& request_id) {
    Request request;
    request.set_request_id(request_id);
    request.set_name(VirtualMachineName(id));
    grpc::ClientContext context;
    Operation operation;
    (*vms_.*method)(&context, request, &operation);
  }

  v1::CreateVirtualMachineRequest ProvisionRequest(const std::string& name);
  std::string Provision(const std::string& name);  // Returns the id.
  absl::Status Outcome(const grpc::Status& status, Operation operation);
  absl::Status OutcomeOf(const std::string& request_id);

  // The highest tick number that the guest has printed.
  int LastTick(const std::string& id);
  // QEMU processes of this test that are alive.
  int QemuCount();

  static bool Soon(const std::function<bool()>& condition,
                   absl::Duration timeout = absl::Seconds(60));

  std::string directory_;
  std::unique_ptr<PolicyServerFixture> policy_;
  std::unique_ptr<Stub> vms_;
  std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  std::unique_ptr<v1::SnapshotService::Stub> snapshots_;

 private:
  void WriteConfiguration();
  void AwaitReachable();
  void Reap();
  std::set<pid_t> Qemus();

  std::string boot_id_file_;
  std::atomic<pid_t> program_ = -1;
  std::atomic<bool> ending_ = false;
  std::thread reaper_;
};

}  // namespace virmo::vm_controller
