// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/uuid.h"
#include "tests/support/stack.h"
#include "virmo/v1/host_device_service.grpc.pb.h"

namespace virmo::testing_support {

// The device's half of VirMO (alert-emitter, policy-engine, vm-controller) with real guests, driven
// through policy-engine's and vm-controller's addresses; and a shell in each guest.
class GuestFixture : public testing::Test {
 protected:
  using Operation = google::longrunning::Operation;
  using Vms = v1::VirtualMachineService::Stub;

  // Starts the three. `controller` is added to vm-controller's configuration.
  void StartDevice(const std::string& controller,
                   const std::string& hypervisor_uri = "qemu:///embed");
  void TearDown() override;

  // Makes a virtual machine of an image and returns its id.
  std::string Provision(const std::string& name, const std::string& image, int64_t memory_mib,
                        const std::vector<v1::Allocation>& more = {});

  template <typename Request>
  absl::Status Do(const std::string& id,
                  grpc::Status (Vms::*method)(grpc::ClientContext*, const Request&, Operation*),
                  Request request = {}) {
    request.set_request_id(NewUuid());
    request.set_name(VirtualMachineName(id));
    grpc::ClientContext context;
    Operation operation;
    const grpc::Status status = (stack_->vms().*method)(&context, request, &operation);
    return status.ok() ? OutcomeOf(operation, true) : FromGrpc(status);
  }
  // Waits for an operation's end, of vm-controller or of policy-engine.
  absl::Status OutcomeOf(Operation operation, bool of_controller);

  // Starts it and waits until its shell answers.
  void StartGuest(const std::string& id);

  // Runs a command in the guest, on its serial console, and returns what it writes. "" if it does
  // not answer in time.
  std::string Shell(const std::string& id, const std::string& command,
                    absl::Duration timeout = absl::Seconds(60));

  absl::StatusOr<Operation> SetPeripheral(const std::string& id, v1::PeripheralClass one,
                                          bool enabled, bool exclusive = false);
  absl::Status Lock(const std::string& id);
  absl::Status Unlock(const std::string& id);
  v1::PolicyStatus Policy(const std::string& id);
  v1::VirtualMachine Vm(const std::string& id);
  v1::HostDevice Device(const std::string& device_id);
  bool HasDevice(const std::string& id, const std::string& device_id);

  static bool Soon(const std::function<bool()>& condition,
                   absl::Duration timeout = absl::Seconds(60));
  // How long it took until `condition` held; the test fails if it never does.
  static absl::Duration Took(const std::function<bool()>& condition);

  std::unique_ptr<Stack> stack_;
  std::unique_ptr<v1::HostDeviceService::Stub> devices_;
  std::unique_ptr<google::longrunning::Operations::Stub> policy_operations_;
  int shells_ = 0;
};

}  // namespace virmo::testing_support
