// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "dm-bridge/objects/snapshot.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "grpcpp/channel.h"
#include "services/runtime/watch_client.h"
#include "virmo/v1/host_device_service.grpc.pb.h"
#include "virmo/v1/policy_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo::dm_bridge {

// The device as vm-controller and policy-engine tell it: snapshots fed by their Watch streams,
// and the calls to them. A virtual machine that was written to is asked for anew, once for each
// message of a session, so that a write is seen by the next Get. Thread-safe.
class DeviceView {
 public:
  using Machine = std::shared_ptr<const v1::VirtualMachine>;
  using Policy = std::shared_ptr<const v1::PolicyStatus>;

  struct Callbacks {
    // A service became reachable (OK) or not.
    std::function<void(const std::string& service, const absl::Status&)> on_service;
    // An operation of vm-controller changed.
    std::function<void(const v1::OperationEvent&)> on_operation;
  };

  DeviceView(std::shared_ptr<grpc::Channel> controller, std::shared_ptr<grpc::Channel> policy,
             Callbacks callbacks);
  ~DeviceView();

  // By id. NOT_FOUND (VM_NOT_FOUND); UNAVAILABLE while the stream is down.
  absl::StatusOr<Machine> GetMachine(const std::string& id);
  absl::StatusOr<std::vector<std::string>> ListMachineIds();
  // Null if policy-engine has no record of it: it counts as locked then.
  absl::StatusOr<Policy> GetPolicy(const std::string& id);

  // Asked for once for each message.
  absl::StatusOr<v1::Host> GetHost();
  absl::StatusOr<v1::ListHostDevicesResponse> GetHostDevices();
  absl::StatusOr<v1::ListPoolsResponse> GetPools();
  absl::StatusOr<v1::ListAllocationCapabilitiesResponse> GetCapabilities();

  // Whether an operation that `server_id` asked for is running.
  bool HasUnfinished(const std::string& server_id) const;

  // Waits until both services are live, but only for as long as one that just started, or just
  // went away, may need: one that is gone for longer is not waited for.
  void AwaitServices();

  // What was asked for once is asked for again from now on: a message begins.
  void OnCommands();
  // A virtual machine, or which ones there are, may have changed by our doing.
  void OnWrite(const std::string& id);

  v1::VirtualMachineService::Stub& machines() { return *machines_; }
  v1::PolicyService::Stub& policies() { return *policies_; }
  google::longrunning::Operations::Stub& operations() { return *operations_; }  // Of vm-controller.
  google::longrunning::Operations::Stub& policy_operations() { return *policy_operations_; }

 private:
  template <typename Resource>
  using Cache = std::map<std::string, std::shared_ptr<const Resource>>;

  void WatchMachines();
  void WatchPolicies();
  void WatchOperations();
  void SetLive(bool* which, bool live);
  bool WrittenLately(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<Machine> ReadBackMachine(const std::string& id);
  absl::StatusOr<Policy> ReadBackPolicy(const std::string& id);

  const std::unique_ptr<v1::VirtualMachineService::Stub> machines_;
  const std::unique_ptr<v1::PolicyService::Stub> policies_;
  const std::unique_ptr<v1::HostDeviceService::Stub> host_devices_stub_;
  const std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  const std::unique_ptr<google::longrunning::Operations::Stub> policy_operations_;
  const Callbacks callbacks_;
  Snapshot<v1::VirtualMachine> machine_snapshot_;
  Snapshot<v1::PolicyStatus> policy_snapshot_;

  mutable Mutex mutex_;
  std::condition_variable live_changed_;
  bool machines_live_ ABSL_GUARDED_BY(mutex_) = false;
  bool policies_live_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Time away_since_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  std::map<std::string, absl::Time> written_ ABSL_GUARDED_BY(mutex_);
  Cache<v1::VirtualMachine> machine_cache_ ABSL_GUARDED_BY(mutex_);
  Cache<v1::PolicyStatus> policy_cache_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Host> host_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::ListHostDevicesResponse> host_devices_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::ListPoolsResponse> pools_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::ListAllocationCapabilitiesResponse> capabilities_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> unfinished_ ABSL_GUARDED_BY(mutex_);  // name to server id

  // Last, so that their threads end before what they use does.
  std::unique_ptr<WatchClient<v1::WatchVirtualMachinesResponse>> machine_watch_;
  std::unique_ptr<WatchClient<v1::WatchPolicyStatusResponse>> policy_watch_;
  std::unique_ptr<WatchClient<v1::WatchOperationsResponse>> operation_watch_;
};

}  // namespace virmo::dm_bridge
