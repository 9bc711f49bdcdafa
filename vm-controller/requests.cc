// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/requests.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/machine_validation.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

// A gap while the hypervisor is away is waited out, if it is short.
constexpr absl::Duration kGap = absl::Seconds(2);

absl::Status Busy(const VirtualMachine& vm) {
  return Error(ErrorInfo::REASON_BUSY,
               absl::StrCat(vm.name(), " is being changed by ", vm.current_operation()),
               {{"operation", vm.current_operation()}, {"virtual_machine", vm.name()}});
}

absl::Status Locked(const VirtualMachine& vm) {
  return Error(ErrorInfo::REASON_VM_LOCKED, absl::StrCat(vm.name(), " is locked"),
               {{"virtual_machine", vm.name()}});
}

// A forced stop takes over from whatever starts or stops it.
bool TakesOver(const Requests::Change& change, const VirtualMachine& vm) {
  return change.kind == v1::OPERATION_KIND_STOP && change.force &&
         (vm.state() == VirtualMachine::STATE_STARTING ||
          vm.state() == VirtualMachine::STATE_STOPPING);
}

}  // namespace

absl::StatusOr<Verdict> Requests::Check(const Change& change, const MachineRecord& record) {
  const VirtualMachine& vm = record.vm;
  if (!change.etag.empty() && change.etag != vm.etag()) {
    return Error(ErrorInfo::REASON_STALE_ETAG,
                 absl::StrCat(vm.name(), " has changed since it was read"), {{"etag", vm.etag()}});
  }
  if (!vm.current_operation().empty() && !TakesOver(change, vm)) return Busy(vm);
  ASSIGN_OR_RETURN(const Verdict verdict, CheckTransition(change.kind, vm, change.force));
  if (!IsBarredByLock(change.kind)) return verdict;
  ASSIGN_OR_RETURN(const auto policy, shop_.machines.store().GetPolicy(record.id));
  // Without a stored policy it counts as locked, but policy-engine, asked next, knows better.
  if (policy.has_value() && IsLocked(policy)) return Locked(vm);
  return verdict;
}

absl::Status Requests::CheckReachable() {
  if (shop_.machines.AwaitReachable(kGap)) return absl::OkStatus();
  return Error(ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE,
               "the hypervisor cannot be reached; try again");
}

absl::Status Requests::Admit(const v1::AdmitRequest& request) {
  ASSIGN_OR_RETURN(const v1::AdmitResponse response, shop_.policy.Admit(request));
  const absl::Status stored = shop_.machines.store().PutPolicy(response.policy());
  return ReasonOf(stored) == ErrorInfo::REASON_STALE_POLICY ? absl::OkStatus() : stored;
}

absl::StatusOr<Requests::Operation> Requests::Accept(const Change& change,
                                                     const google::protobuf::Message& request) {
  ASSIGN_OR_RETURN(const std::string vm_id, VirtualMachineId(change.name));
  RETURN_IF_ERROR(CheckRequestId(change.request_id));
  ASSIGN_OR_RETURN(const std::optional<Operation> first,
                   shop_.journal.FindRequest(change.request_id, request));
  if (first) return *first;
  ASSIGN_OR_RETURN(const MachineRecord record, shop_.machines.store().Get(vm_id));
  ASSIGN_OR_RETURN(const Verdict verdict, Check(change, record));
  if (verdict == Verdict::kAlreadySo) return NothingToDo(change, vm_id, request);
  RETURN_IF_ERROR(CheckReachable());
  if (!Widens(change.kind)) return Begin(change, vm_id, request);
  const auto hold = reporter_.Hold();
  v1::AdmitRequest admit;
  admit.set_virtual_machine(change.name);
  admit.set_operation(OperationName(change.request_id));
  admit.set_kind(change.kind);
  RETURN_IF_ERROR(Admit(admit));
  return Begin(change, vm_id, request);
}

absl::StatusOr<Requests::Operation> Requests::NothingToDo(
    const Change& change, const std::string& vm_id, const google::protobuf::Message& request) {
  v1::OperationMetadata metadata;
  metadata.set_target(change.name);
  metadata.set_kind(change.kind);
  *metadata.mutable_initiator() = change.initiator;
  ASSIGN_OR_RETURN(const VirtualMachine vm, shop_.machines.Get(vm_id));
  RETURN_IF_ERROR(shop_.journal.InsertDone(change.request_id, std::move(metadata), request,
                                           absl::OkStatus(), &vm));
  return shop_.journal.GetOperation(change.request_id);
}

absl::StatusOr<Requests::Operation> Requests::Begin(const Change& change, const std::string& vm_id,
                                                    const google::protobuf::Message& request) {
  v1::OperationMetadata metadata;
  metadata.set_target(change.name);
  metadata.set_kind(change.kind);
  metadata.set_step(OnlyStep(change.kind));
  *metadata.mutable_initiator() = change.initiator;
  std::string taken_over;
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<Operation> first,
                     shop_.journal.FindRequest(change.request_id, request));
    if (first) return absl::OkStatus();  // Its twin was faster.
    ASSIGN_OR_RETURN(const MachineRecord record, shop_.machines.store().Get(vm_id));
    RETURN_IF_ERROR(Check(change, record).status());
    taken_over = record.vm.current_operation();
    RETURN_IF_ERROR(shop_.machines.Change(vm_id, [&](MachineRecord& changed) {
      if (taken_over.empty()) changed.stable_state = changed.vm.state();
      changed.vm.set_current_operation(OperationName(change.request_id));
      if (TransientState(change.kind) != VirtualMachine::STATE_UNSPECIFIED) {
        changed.vm.set_state(TransientState(change.kind));
        changed.vm.set_requested_state(GoalState(change.kind));
      }
    }));
    return shop_.journal.Insert(change.request_id, std::move(metadata), request);
  }));
  FaultPoint("operation.accepted");
  if (!taken_over.empty()) {
    (void)shop_.journal.RequestCancel(OperationId(taken_over).value_or(""));
  }
  spdlog::info("accepted operation={} kind={} vm={}", OperationName(change.request_id),
               OperationWord(change.kind), change.name);
  runner_.Enqueue(change.request_id, change.name);
  return shop_.journal.GetOperation(change.request_id);
}

absl::StatusOr<VirtualMachine> Requests::Update(const v1::UpdateVirtualMachineRequest& request) {
  ASSIGN_OR_RETURN(const std::string vm_id,
                   VirtualMachineId(request.virtual_machine().name(), "virtual_machine.name"));
  RETURN_IF_ERROR(CheckUpdateMask(request));
  RETURN_IF_ERROR(shop_.machines.Change(vm_id, [&](MachineRecord& record) {
    for (const std::string& path : request.update_mask().paths()) {
      const VirtualMachine& wanted = request.virtual_machine();
      if (path == "display_name") record.vm.set_display_name(wanted.display_name());
      if (path == "description") record.vm.set_description(wanted.description());
      if (path == "auto_start") record.vm.set_auto_start(wanted.auto_start());
    }
  }));
  return shop_.machines.Get(vm_id);
}

}  // namespace virmo::vm_controller
