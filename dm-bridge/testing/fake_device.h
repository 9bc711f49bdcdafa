// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "google/longrunning/operations.grpc.pb.h"
#include "google/protobuf/any.pb.h"
#include "grpcpp/grpcpp.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/error.h"
#include "virmo/v1/alert_service.grpc.pb.h"
#include "virmo/v1/policy_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

// vm-controller, policy-engine and alert-emitter as far as dm-bridge talks to them, with data of
// the test's own: real gRPC, no virtual machine. Thread-safe.
namespace virmo::dm_bridge {

inline constexpr char kVm[] = "3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10";
inline constexpr char kVmName[] = "virtualMachines/3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10";

v1::VirtualMachine MakeMachine(const std::string& id, const std::string& display_name,
                               v1::VirtualMachine::State state);

class FakeController : public v1::VirtualMachineService::Service,
                       public google::longrunning::Operations::Service {
 public:
  // Changes the machine; told on the stream unless `quietly`.
  void Put(const v1::VirtualMachine& vm, bool quietly = false);
  void Remove(const std::string& name);
  void Tell(const v1::OperationEvent& event);
  void Close();

  // What the next operation comes to: done at once, or running. Repeats of a request id get the
  // first answer.
  void AnswerDone();
  void AnswerRunning();
  void AnswerError(const absl::Status& error);
  // An operation of another service: one server answers for all.
  void PutOperation(const google::longrunning::Operation& operation);
  // Called as an operation begins, before it is recorded.
  void OnBegin(std::function<void()> hook);
  // Ends a running operation.
  void Finish(const std::string& request_id, int result_code);

  // `Start <id> <initiator uri> <correlator>` of each change that was begun, in order.
  std::vector<std::string> log();
  std::vector<std::string> request_ids();
  v1::CreateVirtualMachineRequest last_create();
  v1::StopVirtualMachineRequest last_stop();

  grpc::Status GetVirtualMachine(grpc::ServerContext*, const v1::GetVirtualMachineRequest*,
                                 v1::VirtualMachine*) override;
  grpc::Status WatchVirtualMachines(grpc::ServerContext*, const v1::WatchVirtualMachinesRequest*,
                                    grpc::ServerWriter<v1::WatchVirtualMachinesResponse>*) override;
  grpc::Status WatchOperations(grpc::ServerContext*, const v1::WatchOperationsRequest*,
                               grpc::ServerWriter<v1::WatchOperationsResponse>*) override;
  grpc::Status CreateVirtualMachine(grpc::ServerContext*, const v1::CreateVirtualMachineRequest*,
                                    google::longrunning::Operation*) override;
  grpc::Status UpdateVirtualMachine(grpc::ServerContext*, const v1::UpdateVirtualMachineRequest*,
                                    v1::VirtualMachine*) override;
  grpc::Status DeleteVirtualMachine(grpc::ServerContext*, const v1::DeleteVirtualMachineRequest*,
                                    google::longrunning::Operation*) override;
  grpc::Status StartVirtualMachine(grpc::ServerContext*, const v1::StartVirtualMachineRequest*,
                                   google::longrunning::Operation*) override;
  grpc::Status StopVirtualMachine(grpc::ServerContext*, const v1::StopVirtualMachineRequest*,
                                  google::longrunning::Operation*) override;
  grpc::Status CloneVirtualMachine(grpc::ServerContext*, const v1::CloneVirtualMachineRequest*,
                                   google::longrunning::Operation*) override;
  grpc::Status GetHost(grpc::ServerContext*, const v1::GetHostRequest*, v1::Host*) override;
  grpc::Status GetOperation(grpc::ServerContext*, const google::longrunning::GetOperationRequest*,
                            google::longrunning::Operation*) override;

 private:
  template <typename Request>
  grpc::Status Begin(const std::string& what, const std::string& target, const Request& request,
                     google::longrunning::Operation* operation);

  Mutex mutex_;
  std::map<std::string, v1::VirtualMachine> machines_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, google::longrunning::Operation> operations_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> request_ids_ ABSL_GUARDED_BY(mutex_);
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_begin_ ABSL_GUARDED_BY(mutex_);
  v1::CreateVirtualMachineRequest create_ ABSL_GUARDED_BY(mutex_);
  v1::StopVirtualMachineRequest stop_ ABSL_GUARDED_BY(mutex_);
  Broadcast<v1::WatchVirtualMachinesResponse> machine_events_;
  Broadcast<v1::OperationEvent> operation_events_;
};

class FakePolicyEngine : public v1::PolicyService::Service {
 public:
  void Put(const v1::PolicyStatus& status, bool quietly = false);
  void Close() { events_.Close(); }
  std::vector<v1::SetAllocationsRequest> set_allocations();
  std::vector<v1::LockVirtualMachineRequest> locks();
  std::vector<std::string> secrets();  // Of the user, as set.
  std::vector<v1::TransferResourcesRequest> transfers();
  // Told of each transfer that is begun. Set before the server runs.
  std::function<void(const google::longrunning::Operation&)> on_transfer;
  std::vector<v1::SetPeripheralRequest> peripherals();

  grpc::Status GetPolicy(grpc::ServerContext*, const v1::GetPolicyRequest*,
                         v1::PolicyStatus*) override;
  grpc::Status WatchPolicyStatus(grpc::ServerContext*, const v1::WatchPolicyStatusRequest*,
                                 grpc::ServerWriter<v1::WatchPolicyStatusResponse>*) override;
  grpc::Status SetAllocations(grpc::ServerContext*, const v1::SetAllocationsRequest*,
                              v1::PolicyStatus*) override;
  grpc::Status ListPools(grpc::ServerContext*, const v1::ListPoolsRequest*,
                         v1::ListPoolsResponse*) override;
  grpc::Status ListAllocationCapabilities(grpc::ServerContext*,
                                          const v1::ListAllocationCapabilitiesRequest*,
                                          v1::ListAllocationCapabilitiesResponse*) override;
  grpc::Status LockVirtualMachine(grpc::ServerContext*, const v1::LockVirtualMachineRequest*,
                                  google::longrunning::Operation*) override;
  grpc::Status UpdateLockSettings(grpc::ServerContext*, const v1::UpdateLockSettingsRequest*,
                                  v1::PolicyStatus*) override;
  grpc::Status TransferResources(grpc::ServerContext*, const v1::TransferResourcesRequest*,
                                 google::longrunning::Operation*) override;
  grpc::Status SetPeripheral(grpc::ServerContext*, const v1::SetPeripheralRequest*,
                             google::longrunning::Operation*) override;

 private:
  Mutex mutex_;
  std::vector<v1::TransferResourcesRequest> transfers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::PolicyStatus> policies_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::SetAllocationsRequest> set_allocations_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::LockVirtualMachineRequest> locks_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> secrets_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::SetPeripheralRequest> peripherals_ ABSL_GUARDED_BY(mutex_);
  Broadcast<v1::WatchPolicyStatusResponse> events_;
};

class FakeAlertEmitter : public v1::AlertService::Service {
 public:
  void Raise(const std::string& alert_id, const std::string& vm, const v1::Initiator& initiator,
             const std::string& event = "Start");
  void Close() { events_.Close(); }
  // `ack <id>`, `reject <id>`, `park <id>`, in order.
  std::vector<std::string> log();

  grpc::Status WatchAlerts(grpc::ServerContext*, const v1::WatchAlertsRequest*,
                           grpc::ServerWriter<v1::WatchAlertsResponse>*) override;
  grpc::Status AcknowledgeAlert(grpc::ServerContext*, const v1::AcknowledgeAlertRequest*,
                                v1::StoredAlert*) override;
  grpc::Status RejectAlert(grpc::ServerContext*, const v1::RejectAlertRequest*,
                           v1::StoredAlert*) override;

 private:
  Mutex mutex_;
  int64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, v1::StoredAlert> alerts_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> log_ ABSL_GUARDED_BY(mutex_);
  Broadcast<v1::StoredAlert> events_;
};

// The three of them on a server of their own, at `address` (`unix:…`).
class FakeDevice {
 public:
  explicit FakeDevice(const std::string& address);
  ~FakeDevice();
  FakeDevice(const FakeDevice&) = delete;
  FakeDevice& operator=(const FakeDevice&) = delete;

  FakeController controller;
  FakePolicyEngine policies;
  FakeAlertEmitter alerts;

 private:
  std::unique_ptr<grpc::Server> server_;
};

// Waits until `condition` holds, for at most 20 seconds; returns whether it does.
bool Eventually(const std::function<bool()>& condition);

}  // namespace virmo::dm_bridge
