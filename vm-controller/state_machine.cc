// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/state_machine.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

struct Row {
  v1::OperationKind kind;
  std::vector<VirtualMachine::State> legal_from;
  std::vector<VirtualMachine::State> legal_with_force;  // In addition.
  VirtualMachine::State transient;
  VirtualMachine::State goal;
  ErrorInfo::Reason failure;
};

const std::vector<Row>& Table() {
  using Vm = VirtualMachine;
  static const auto* table = new std::vector<Row>{
      {v1::OPERATION_KIND_START,
       {Vm::STATE_STOPPED, Vm::STATE_FAILED},
       {},
       Vm::STATE_STARTING,
       Vm::STATE_RUNNING,
       ErrorInfo::REASON_START_FAILED},
      {v1::OPERATION_KIND_STOP,
       {Vm::STATE_RUNNING, Vm::STATE_FAILED},
       {Vm::STATE_STARTING, Vm::STATE_STOPPING, Vm::STATE_SUSPENDED},
       Vm::STATE_STOPPING,
       Vm::STATE_STOPPED,
       ErrorInfo::REASON_STOP_FAILED},
      {v1::OPERATION_KIND_SUSPEND,
       {Vm::STATE_RUNNING},
       {},
       Vm::STATE_SUSPENDING,
       Vm::STATE_SUSPENDED,
       ErrorInfo::REASON_SUSPEND_FAILED},
      {v1::OPERATION_KIND_RESUME,
       {Vm::STATE_SUSPENDED},
       {},
       Vm::STATE_RESUMING,
       Vm::STATE_RUNNING,
       ErrorInfo::REASON_RESUME_FAILED},
      {v1::OPERATION_KIND_DELETE,
       {Vm::STATE_STOPPED, Vm::STATE_SUSPENDED, Vm::STATE_FAILED},
       {Vm::STATE_RUNNING},
       Vm::STATE_DELETING,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_DELETE_FAILED},
      {v1::OPERATION_KIND_CLONE,
       {Vm::STATE_STOPPED, Vm::STATE_RUNNING},
       {},
       Vm::STATE_CLONING,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_CLONE_FAILED},
      {v1::OPERATION_KIND_SNAPSHOT,
       {Vm::STATE_STOPPED, Vm::STATE_RUNNING},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_HYPERVISOR_FAILED},
      {v1::OPERATION_KIND_REVERT,
       {Vm::STATE_STOPPED, Vm::STATE_RUNNING, Vm::STATE_FAILED},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_HYPERVISOR_FAILED},
      {v1::OPERATION_KIND_SNAPSHOT_DELETE,
       {Vm::STATE_STOPPED, Vm::STATE_RUNNING, Vm::STATE_FAILED, Vm::STATE_SUSPENDED},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_HYPERVISOR_FAILED},
      {v1::OPERATION_KIND_EXPORT,
       {Vm::STATE_STOPPED},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_STORAGE_FAILED},
      {v1::OPERATION_KIND_PAUSE,
       {Vm::STATE_RUNNING},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_HYPERVISOR_FAILED},
      {v1::OPERATION_KIND_UNPAUSE,
       {Vm::STATE_RUNNING},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_HYPERVISOR_FAILED},
      {v1::OPERATION_KIND_DOWNLOAD_PROVISION,
       {},
       {},
       Vm::STATE_PROVISIONING,
       Vm::STATE_STOPPED,
       ErrorInfo::REASON_PROVISION_FAILED},
      {v1::OPERATION_KIND_DOWNLOAD,
       {},
       {},
       Vm::STATE_UNSPECIFIED,
       Vm::STATE_UNSPECIFIED,
       ErrorInfo::REASON_DOWNLOAD_FAILED},
  };
  return *table;
}

const Row& RowOf(v1::OperationKind kind) {
  for (const Row& row : Table()) {
    if (row.kind == kind) return row;
  }
  static const Row none{kind, {}, {}, {}, {}, ErrorInfo::REASON_NOT_SUPPORTED};
  return none;
}

bool Contains(const std::vector<VirtualMachine::State>& states, VirtualMachine::State state) {
  return std::find(states.begin(), states.end(), state) != states.end();
}

bool IsAlreadySo(v1::OperationKind kind, const VirtualMachine& vm) {
  if (kind == v1::OPERATION_KIND_PAUSE || kind == v1::OPERATION_KIND_UNPAUSE) {
    return vm.state() == VirtualMachine::STATE_RUNNING &&
           vm.paused() == (kind == v1::OPERATION_KIND_PAUSE);
  }
  return GoalState(kind) != VirtualMachine::STATE_UNSPECIFIED && GoalState(kind) == vm.state();
}

// `STATE_STOPPED` as people say it.
std::string Word(VirtualMachine::State state) {
  return VirtualMachine::State_Name(state).substr(sizeof("STATE_") - 1);
}

}  // namespace

absl::StatusOr<Verdict> CheckTransition(v1::OperationKind kind, const VirtualMachine& vm,
                                        bool force) {
  if (IsAlreadySo(kind, vm)) return Verdict::kAlreadySo;
  const Row& row = RowOf(kind);
  if (Contains(row.legal_from, vm.state())) return Verdict::kGo;
  if (force && Contains(row.legal_with_force, vm.state())) return Verdict::kGo;
  const bool force_helps = Contains(row.legal_with_force, vm.state());
  return Error(ErrorInfo::REASON_WRONG_STATE,
               absl::StrCat("cannot ", absl::AsciiStrToLower(OperationWord(kind)), " ", vm.name(),
                            ": it is ", Word(vm.state()), force_helps ? "; use force" : ""),
               {{"state", Word(vm.state())}, {"virtual_machine", vm.name()}});
}

VirtualMachine::State TransientState(v1::OperationKind kind) { return RowOf(kind).transient; }

VirtualMachine::State GoalState(v1::OperationKind kind) { return RowOf(kind).goal; }

ErrorInfo::Reason FailureReason(v1::OperationKind kind) { return RowOf(kind).failure; }

std::string OnlyStep(v1::OperationKind kind) {
  switch (kind) {
    case v1::OPERATION_KIND_PAUSE:
      return "pause";
    case v1::OPERATION_KIND_UNPAUSE:
      return "run";
    case v1::OPERATION_KIND_SUSPEND:
      return "save";
    default:
      return "";
  }
}

std::string OperationWord(v1::OperationKind kind) {
  std::string word;
  for (const absl::string_view part :
       absl::StrSplit(v1::OperationKind_Name(kind).substr(sizeof("OPERATION_KIND_") - 1), '_')) {
    absl::StrAppend(&word, part.substr(0, 1), absl::AsciiStrToLower(part.substr(1)));
  }
  return word;
}

bool Widens(v1::OperationKind kind) {
  return kind == v1::OPERATION_KIND_START || kind == v1::OPERATION_KIND_RESUME ||
         kind == v1::OPERATION_KIND_UNPAUSE || kind == v1::OPERATION_KIND_CLONE ||
         kind == v1::OPERATION_KIND_REVERT || kind == v1::OPERATION_KIND_EXPORT ||
         kind == v1::OPERATION_KIND_DOWNLOAD_PROVISION;
}

bool IsBarredByLock(v1::OperationKind kind) {
  return Widens(kind) || kind == v1::OPERATION_KIND_SNAPSHOT;
}

bool HoldsResources(VirtualMachine::State state) {
  return state == VirtualMachine::STATE_STARTING || state == VirtualMachine::STATE_RUNNING ||
         state == VirtualMachine::STATE_STOPPING || state == VirtualMachine::STATE_SUSPENDING ||
         state == VirtualMachine::STATE_RESUMING;
}

}  // namespace virmo::vm_controller
