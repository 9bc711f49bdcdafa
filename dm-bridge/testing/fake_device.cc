// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/testing/fake_device.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {

using google::longrunning::Operation;

v1::VirtualMachine MakeMachine(const std::string& id, const std::string& display_name,
                               v1::VirtualMachine::State state) {
  v1::VirtualMachine vm;
  vm.set_name(absl::StrCat("virtualMachines/", id));
  vm.set_display_name(display_name);
  vm.set_state(state);
  vm.set_role(v1::VirtualMachine::ROLE_GUEST);
  vm.set_owner("virmo-server");
  v1::AppliedAllocation& memory = *vm.add_applied_allocations();
  memory.set_kind(v1::RESOURCE_KIND_MEMORY);
  memory.set_actual_quantity(256);
  return vm;
}

void FakeController::Put(const v1::VirtualMachine& vm, bool quietly) {
  {
    MutexLock lock(mutex_);
    machines_[vm.name()] = vm;
  }
  if (quietly) return;
  v1::WatchVirtualMachinesResponse response;
  *response.mutable_changed() = vm;
  machine_events_.Publish(response);
}

void FakeController::Remove(const std::string& name) {
  {
    MutexLock lock(mutex_);
    machines_.erase(name);
  }
  v1::WatchVirtualMachinesResponse response;
  response.set_removed(name);
  machine_events_.Publish(response);
}

void FakeController::Tell(const v1::OperationEvent& event) { operation_events_.Publish(event); }

void FakeController::Close() {
  machine_events_.Close();
  operation_events_.Close();
}

void FakeController::AnswerDone() {
  MutexLock lock(mutex_);
  done_ = true;
  error_ = absl::OkStatus();
}
void FakeController::AnswerRunning() {
  MutexLock lock(mutex_);
  done_ = false;
  error_ = absl::OkStatus();
}
void FakeController::AnswerError(const absl::Status& error) {
  MutexLock lock(mutex_);
  error_ = error;
}

void FakeController::OnBegin(std::function<void()> hook) {
  MutexLock lock(mutex_);
  on_begin_ = std::move(hook);
}

void FakeController::PutOperation(const Operation& operation) {
  MutexLock lock(mutex_);
  operations_[operation.name()] = operation;
}

void FakeController::Finish(const std::string& request_id, int result_code) {
  v1::OperationEvent event;
  {
    MutexLock lock(mutex_);
    Operation& operation = operations_.at(absl::StrCat("operations/", request_id));
    operation.set_done(true);
    operation.metadata().UnpackTo(event.mutable_metadata());
    event.mutable_metadata()->set_result_code(result_code);
    operation.mutable_metadata()->PackFrom(event.metadata());
    event.set_name(operation.name());
  }
  event.set_done(true);
  operation_events_.Publish(event);
}

std::vector<std::string> FakeController::log() {
  MutexLock lock(mutex_);
  return log_;
}
std::vector<std::string> FakeController::request_ids() {
  MutexLock lock(mutex_);
  return request_ids_;
}
v1::CreateVirtualMachineRequest FakeController::last_create() {
  MutexLock lock(mutex_);
  return create_;
}
v1::StopVirtualMachineRequest FakeController::last_stop() {
  MutexLock lock(mutex_);
  return stop_;
}

grpc::Status FakeController::GetVirtualMachine(grpc::ServerContext*,
                                               const v1::GetVirtualMachineRequest* request,
                                               v1::VirtualMachine* response) {
  MutexLock lock(mutex_);
  const auto found = machines_.find(request->name());
  if (found == machines_.end()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, "no such virtual machine"));
  }
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeController::WatchVirtualMachines(
    grpc::ServerContext* context, const v1::WatchVirtualMachinesRequest*,
    grpc::ServerWriter<v1::WatchVirtualMachinesResponse>* writer) {
  Broadcast<v1::WatchVirtualMachinesResponse>::Subscription subscription(machine_events_);
  std::vector<v1::VirtualMachine> machines;
  {
    MutexLock lock(mutex_);
    for (const auto& [name, vm] : machines_) machines.push_back(vm);
  }
  v1::WatchVirtualMachinesResponse response;
  for (const v1::VirtualMachine& vm : machines) {
    *response.mutable_changed() = vm;
    writer->Write(response);
  }
  response.clear_changed();
  response.set_synchronized(true);
  writer->Write(response);
  using State = decltype(subscription)::State;
  while (!context->IsCancelled()) {
    const State state = subscription.Next(absl::Milliseconds(100), &response);
    if (state == State::kClosed) break;
    if (state == State::kEvent) writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status FakeController::WatchOperations(
    grpc::ServerContext* context, const v1::WatchOperationsRequest*,
    grpc::ServerWriter<v1::WatchOperationsResponse>* writer) {
  Broadcast<v1::OperationEvent>::Subscription subscription(operation_events_);
  using State = decltype(subscription)::State;
  v1::OperationEvent event;
  while (!context->IsCancelled()) {
    const State state = subscription.Next(absl::Milliseconds(100), &event);
    if (state == State::kClosed) break;
    if (state != State::kEvent) continue;
    v1::WatchOperationsResponse response;
    *response.mutable_event() = event;
    writer->Write(response);
  }
  return grpc::Status::OK;
}

template <typename Request>
grpc::Status FakeController::Begin(const std::string& what, const std::string& target,
                                   const Request& request, Operation* operation) {
  MutexLock lock(mutex_);
  if (on_begin_) on_begin_();
  request_ids_.push_back(request.request_id());
  const std::string name = absl::StrCat("operations/", request.request_id());
  if (const auto known = operations_.find(name); known != operations_.end()) {
    *operation = known->second;
    return grpc::Status::OK;
  }
  if (!error_.ok()) return ToGrpc(error_);
  log_.push_back(absl::StrCat(what, " ", target, " ", request.initiator().uri(), " ",
                              request.initiator().correlator()));
  v1::OperationMetadata metadata;
  metadata.set_target(target);
  *metadata.mutable_initiator() = request.initiator();
  if (done_) metadata.set_result_code(1201);
  operation->set_name(name);
  operation->set_done(done_);
  operation->mutable_metadata()->PackFrom(metadata);
  operations_[name] = *operation;
  return grpc::Status::OK;
}

grpc::Status FakeController::CreateVirtualMachine(grpc::ServerContext*,
                                                  const v1::CreateVirtualMachineRequest* request,
                                                  Operation* operation) {
  {
    MutexLock lock(mutex_);
    create_ = *request;
  }
  return Begin("Create", absl::StrCat("virtualMachines/", request->virtual_machine_id()), *request,
               operation);
}

grpc::Status FakeController::UpdateVirtualMachine(grpc::ServerContext*,
                                                  const v1::UpdateVirtualMachineRequest* request,
                                                  v1::VirtualMachine* response) {
  MutexLock lock(mutex_);
  if (!error_.ok()) return ToGrpc(error_);
  v1::VirtualMachine& vm = machines_[request->virtual_machine().name()];
  for (const std::string& path : request->update_mask().paths()) {
    if (path == "display_name") vm.set_display_name(request->virtual_machine().display_name());
    if (path == "auto_start") vm.set_auto_start(request->virtual_machine().auto_start());
  }
  *response = vm;
  return grpc::Status::OK;  // Quietly: the stream lags behind.
}

grpc::Status FakeController::DeleteVirtualMachine(grpc::ServerContext*,
                                                  const v1::DeleteVirtualMachineRequest* request,
                                                  Operation* operation) {
  return Begin(request->force() ? "Delete!" : "Delete", request->name(), *request, operation);
}

grpc::Status FakeController::StartVirtualMachine(grpc::ServerContext*,
                                                 const v1::StartVirtualMachineRequest* request,
                                                 Operation* operation) {
  return Begin("Start", request->name(), *request, operation);
}

grpc::Status FakeController::StopVirtualMachine(grpc::ServerContext*,
                                                const v1::StopVirtualMachineRequest* request,
                                                Operation* operation) {
  {
    MutexLock lock(mutex_);
    stop_ = *request;
  }
  return Begin("Stop", request->name(), *request, operation);
}

grpc::Status FakeController::CloneVirtualMachine(grpc::ServerContext*,
                                                 const v1::CloneVirtualMachineRequest* request,
                                                 Operation* operation) {
  return Begin(absl::StrCat("Clone(", request->display_name(), ")"), request->name(), *request,
               operation);
}

grpc::Status FakeController::GetHost(grpc::ServerContext*, const v1::GetHostRequest*,
                                     v1::Host* host) {
  host->set_hypervisor_type(v1::Host::HYPERVISOR_TYPE_TYPE_2);
  host->set_hypervisor_name("QEMU");
  host->set_memory_total_mib(8192);
  v1::OperationSupport& support = *host->add_operations();
  support.set_operation("Suspend");
  support.set_supported(true);
  return grpc::Status::OK;
}

grpc::Status FakeController::GetOperation(grpc::ServerContext*,
                                          const google::longrunning::GetOperationRequest* request,
                                          Operation* operation) {
  MutexLock lock(mutex_);
  const auto found = operations_.find(request->name());
  if (found == operations_.end()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_NOT_FOUND, "no such operation"));
  }
  *operation = found->second;
  return grpc::Status::OK;
}

FakeDevice::FakeDevice(const std::string& address) {
  policies.on_transfer = [this](const Operation& begun) { controller.PutOperation(begun); };
  grpc::ServerBuilder builder;
  builder.RegisterService(static_cast<v1::VirtualMachineService::Service*>(&controller));
  builder.RegisterService(static_cast<google::longrunning::Operations::Service*>(&controller));
  builder.RegisterService(&policies);
  builder.RegisterService(&alerts);
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  server_ = builder.BuildAndStart();
}

FakeDevice::~FakeDevice() {
  controller.Close();
  policies.Close();
  alerts.Close();
  server_->Shutdown();
}

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace virmo::dm_bridge
