// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/device_view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/invoke.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

// For so long after a write a stream may still bring what was before it.
constexpr absl::Duration kWriteEcho = absl::Seconds(10);

// So long may a process take to start, or to start again.
constexpr absl::Duration kComingUp = absl::Seconds(3);

absl::Status NoMachine(const std::string& id) {
  return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, absl::StrCat("no virtual machine ", id),
               {{"virtual_machine", id}});
}

// One that is being made is not in the tree yet.
bool IsShown(const v1::VirtualMachine& vm) {
  return vm.state() != v1::VirtualMachine::STATE_PROVISIONING;
}

}  // namespace

DeviceView::DeviceView(std::shared_ptr<grpc::Channel> controller,
                       std::shared_ptr<grpc::Channel> policy, Callbacks callbacks)
    : machines_(v1::VirtualMachineService::NewStub(controller)),
      policies_(v1::PolicyService::NewStub(policy)),
      host_devices_stub_(v1::HostDeviceService::NewStub(controller)),
      operations_(google::longrunning::Operations::NewStub(controller)),
      policy_operations_(google::longrunning::Operations::NewStub(policy)),
      callbacks_(std::move(callbacks)),
      machine_snapshot_("vm-controller"),
      policy_snapshot_("policy-engine") {
  WatchMachines();
  WatchPolicies();
  WatchOperations();
}

DeviceView::~DeviceView() = default;

void DeviceView::WatchMachines() {
  using Response = v1::WatchVirtualMachinesResponse;
  machine_watch_ = std::make_unique<WatchClient<Response>>(WatchClient<Response>::Callbacks{
      .open =
          [this](grpc::ClientContext* context) {
            return machines_->WatchVirtualMachines(context, v1::WatchVirtualMachinesRequest());
          },
      .on_message =
          [this](const Response& response) {
            if (response.has_changed()) {
              machine_snapshot_.Put(response.changed().name(), response.changed());
            }
            if (!response.removed().empty()) machine_snapshot_.Remove(response.removed());
            if (!response.synchronized()) return;
            machine_snapshot_.Synchronize();
            SetLive(&machines_live_, true);
            callbacks_.on_service("vm-controller", absl::OkStatus());
          },
      .on_break =
          [this](const absl::Status& status) {
            machine_snapshot_.Break();
            SetLive(&machines_live_, false);
            callbacks_.on_service("vm-controller", status);
          }});
}

void DeviceView::WatchPolicies() {
  using Response = v1::WatchPolicyStatusResponse;
  policy_watch_ = std::make_unique<WatchClient<Response>>(WatchClient<Response>::Callbacks{
      .open =
          [this](grpc::ClientContext* context) {
            return policies_->WatchPolicyStatus(context, v1::WatchPolicyStatusRequest());
          },
      .on_message =
          [this](const Response& response) {
            if (response.has_changed()) {
              policy_snapshot_.Put(response.changed().policy().virtual_machine(),
                                   response.changed());
            }
            if (!response.removed().empty()) policy_snapshot_.Remove(response.removed());
            if (!response.synchronized()) return;
            policy_snapshot_.Synchronize();
            SetLive(&policies_live_, true);
            callbacks_.on_service("policy-engine", absl::OkStatus());
          },
      .on_break =
          [this](const absl::Status& status) {
            policy_snapshot_.Break();
            SetLive(&policies_live_, false);
            callbacks_.on_service("policy-engine", status);
          }});
}

void DeviceView::WatchOperations() {
  using Response = v1::WatchOperationsResponse;
  operation_watch_ = std::make_unique<WatchClient<Response>>(WatchClient<Response>::Callbacks{
      .open =
          [this](grpc::ClientContext* context) {
            {
              MutexLock lock(mutex_);
              unfinished_.clear();  // The stream begins with those there are.
            }
            v1::WatchOperationsRequest request;
            request.set_include_current(true);
            return machines_->WatchOperations(context, request);
          },
      .on_message =
          [this](const Response& response) {
            if (!response.has_event()) return;
            const v1::OperationEvent& event = response.event();
            {
              MutexLock lock(mutex_);
              if (event.done()) {
                unfinished_.erase(event.name());
              } else {
                unfinished_[event.name()] = event.metadata().initiator().server_id();
              }
            }
            callbacks_.on_operation(event);
          },
      .on_break = [](const absl::Status&) {}});
}

void DeviceView::SetLive(bool* which, bool live) {
  MutexLock lock(mutex_);
  if (*which && !live) away_since_ = absl::Now();
  *which = live;
  live_changed_.notify_all();
}

void DeviceView::AwaitServices() {
  MutexLock lock(mutex_);
  const absl::Duration left = away_since_ + kComingUp - absl::Now();
  if (left <= absl::ZeroDuration()) return;
  lock.WaitFor(live_changed_, std::min(left, kComingUp),
               [&] { return machines_live_ && policies_live_; });
}

bool DeviceView::HasUnfinished(const std::string& server_id) const {
  MutexLock lock(mutex_);
  for (const auto& [name, initiator] : unfinished_) {
    if (initiator == server_id) return true;
  }
  return false;
}

void DeviceView::OnCommands() {
  MutexLock lock(mutex_);
  machine_cache_.clear();
  policy_cache_.clear();
  host_.reset();
  host_devices_.reset();
  pools_.reset();
  capabilities_.reset();
}

void DeviceView::OnWrite(const std::string& id) {
  MutexLock lock(mutex_);
  written_[id] = absl::Now() + kWriteEcho;
  machine_cache_.erase(id);
  policy_cache_.erase(id);
  host_.reset();
  pools_.reset();
}

bool DeviceView::WrittenLately(const std::string& id) {
  const auto written = written_.find(id);
  if (written == written_.end()) return false;
  if (absl::Now() < written->second) return true;
  written_.erase(written);
  return false;
}

absl::StatusOr<DeviceView::Machine> DeviceView::GetMachine(const std::string& id) {
  ASSIGN_OR_RETURN(Machine machine, machine_snapshot_.Get(VirtualMachineName(id)));
  {
    MutexLock lock(mutex_);
    if (WrittenLately(id)) {
      const auto cached = machine_cache_.find(id);
      machine = cached == machine_cache_.end() ? nullptr : cached->second;
    } else if (machine == nullptr || !IsShown(*machine)) {
      return NoMachine(id);
    } else {
      return machine;
    }
  }
  if (machine == nullptr) {
    ASSIGN_OR_RETURN(machine, ReadBackMachine(id));
  }
  if (!IsShown(*machine)) return NoMachine(id);
  return machine;
}

absl::StatusOr<DeviceView::Machine> DeviceView::ReadBackMachine(const std::string& id) {
  v1::GetVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  ASSIGN_OR_RETURN(
      v1::VirtualMachine vm,
      Invoke(*machines_, &v1::VirtualMachineService::Stub::GetVirtualMachine, request));
  Machine machine = std::make_shared<const v1::VirtualMachine>(std::move(vm));
  MutexLock lock(mutex_);
  machine_cache_[id] = machine;
  return machine;
}

absl::StatusOr<std::vector<std::string>> DeviceView::ListMachineIds() {
  ASSIGN_OR_RETURN(const std::vector<Machine> machines, machine_snapshot_.List());
  std::set<std::string> ids;
  for (const Machine& machine : machines) {
    if (!IsShown(*machine)) continue;
    ASSIGN_OR_RETURN(const std::string id, VirtualMachineId(machine->name()));
    ids.insert(id);
  }
  std::vector<std::string> written;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, until] : written_) written.push_back(id);
  }
  // What we changed lately: the stream may not have told yet that it is there, or gone.
  for (const std::string& id : written) {
    const absl::StatusOr<Machine> machine = GetMachine(id);
    if (machine.ok()) {
      ids.insert(id);
    } else if (absl::IsNotFound(machine.status())) {
      ids.erase(id);
    } else {
      return machine.status();
    }
  }
  return std::vector<std::string>(ids.begin(), ids.end());
}

absl::StatusOr<DeviceView::Policy> DeviceView::GetPolicy(const std::string& id) {
  ASSIGN_OR_RETURN(Policy policy, policy_snapshot_.Get(VirtualMachineName(id)));
  {
    MutexLock lock(mutex_);
    if (!WrittenLately(id)) return policy;
    const auto cached = policy_cache_.find(id);
    if (cached != policy_cache_.end()) return cached->second;
  }
  return ReadBackPolicy(id);
}

absl::StatusOr<DeviceView::Policy> DeviceView::ReadBackPolicy(const std::string& id) {
  v1::GetPolicyRequest request;
  request.set_virtual_machine(VirtualMachineName(id));
  absl::StatusOr<v1::PolicyStatus> status =
      Invoke(*policies_, &v1::PolicyService::Stub::GetPolicy, request);
  Policy policy;
  if (status.ok()) {
    policy = std::make_shared<const v1::PolicyStatus>(*std::move(status));
  } else if (!absl::IsNotFound(status.status())) {
    return status.status();
  }
  MutexLock lock(mutex_);
  policy_cache_[id] = policy;
  return policy;
}

absl::StatusOr<v1::Host> DeviceView::GetHost() {
  {
    MutexLock lock(mutex_);
    if (host_) return *host_;
  }
  ASSIGN_OR_RETURN(v1::Host host, Invoke(*machines_, &v1::VirtualMachineService::Stub::GetHost,
                                         v1::GetHostRequest()));
  MutexLock lock(mutex_);
  host_ = host;
  return host;
}

absl::StatusOr<v1::ListHostDevicesResponse> DeviceView::GetHostDevices() {
  {
    MutexLock lock(mutex_);
    if (host_devices_) return *host_devices_;
  }
  absl::StatusOr<v1::ListHostDevicesResponse> devices =
      Invoke(*host_devices_stub_, &v1::HostDeviceService::Stub::ListHostDevices,
             v1::ListHostDevicesRequest());
  // A controller without the service has no devices to give.
  if (absl::IsUnimplemented(devices.status())) devices = v1::ListHostDevicesResponse();
  RETURN_IF_ERROR(devices.status());
  MutexLock lock(mutex_);
  host_devices_ = *devices;
  return devices;
}

absl::StatusOr<v1::ListPoolsResponse> DeviceView::GetPools() {
  {
    MutexLock lock(mutex_);
    if (pools_) return *pools_;
  }
  ASSIGN_OR_RETURN(v1::ListPoolsResponse pools,
                   Invoke(*policies_, &v1::PolicyService::Stub::ListPools, v1::ListPoolsRequest()));
  MutexLock lock(mutex_);
  pools_ = pools;
  return pools;
}

absl::StatusOr<v1::ListAllocationCapabilitiesResponse> DeviceView::GetCapabilities() {
  {
    MutexLock lock(mutex_);
    if (capabilities_) return *capabilities_;
  }
  ASSIGN_OR_RETURN(v1::ListAllocationCapabilitiesResponse capabilities,
                   Invoke(*policies_, &v1::PolicyService::Stub::ListAllocationCapabilities,
                          v1::ListAllocationCapabilitiesRequest()));
  MutexLock lock(mutex_);
  capabilities_ = capabilities;
  return capabilities;
}

}  // namespace virmo::dm_bridge
