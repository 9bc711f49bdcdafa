// SPDX-License-Identifier: Apache-2.0
// `./VirMO/VMs/<x>/Operations`: what can be done to a virtual machine.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/syncml/base64.h"

namespace virmo::dm_bridge {
namespace {

using google::longrunning::Operation;
using Machines = v1::VirtualMachineService::Stub;
using Policies = v1::PolicyService::Stub;
using Exec = std::function<absl::StatusOr<ExecOutcome>(const Call&)>;

NodeType OperationNode(DeviceView& view, const std::string& name, Exec exec) {
  NodeType node{.path = "VMs/*/Operations/" + name, .format = Format::kNull, .access = kExec};
  node.exec = [&view, exec = std::move(exec)](const Call& call) -> absl::StatusOr<ExecOutcome> {
    // Before the call: whatever becomes of it, what was read before counts as old.
    view.OnWrite(call.names[0]);
    return exec(call);
  };
  return node;
}

template <typename Request>
void SetWho(const Call& call, Request& request) {
  request.set_request_id(RequestIdOf(call));
  *request.mutable_initiator() = InitiatorOf(call);
}

template <typename Request>
Request MachineRequest(const Call& call) {
  Request request;
  request.set_name(VirtualMachineName(call.names[0]));
  SetWho(call, request);
  return request;
}

// `force` or not; anything but the words allowed is 412.
absl::StatusOr<bool> ParseForce(const Call& call, absl::string_view otherwise) {
  if (call.value == "force") return true;
  if (call.value.empty() || call.value == otherwise) return false;
  return DmError(syncml::StatusCode::kIncompleteCommand,
                 absl::StrCat("no such argument: '", call.value, "'"));
}

// An operation that takes no argument.
template <typename Request>
Exec Plain(DeviceView& view,
           grpc::Status (Machines::*method)(grpc::ClientContext*, const Request&, Operation*)) {
  return [&view, method](const Call& call) -> absl::StatusOr<ExecOutcome> {
    if (!call.value.empty()) {
      return DmError(syncml::StatusCode::kIncompleteCommand, "the operation takes no argument");
    }
    return OutcomeOf(Invoke(view.machines(), method, MachineRequest<Request>(call)));
  };
}

Exec Stop(DeviceView& view, SettingsStore& settings) {
  return [&view, &settings](const Call& call) -> absl::StatusOr<ExecOutcome> {
    auto request = MachineRequest<v1::StopVirtualMachineRequest>(call);
    ASSIGN_OR_RETURN(const bool force, ParseForce(call, "graceful"));
    request.set_force(force);
    ASSIGN_OR_RETURN(const std::string timeout, settings.Get("StopTimeout", ""));
    if (!force && !timeout.empty()) {
      ASSIGN_OR_RETURN(const int64_t seconds, ParseInt(timeout));
      request.mutable_timeout()->set_seconds(seconds);
    }
    return OutcomeOf(Invoke(view.machines(), &Machines::StopVirtualMachine, request));
  };
}

Exec Delete(DeviceView& view) {
  return [&view](const Call& call) -> absl::StatusOr<ExecOutcome> {
    if (!IsUuid(call.names[0])) {
      return DmError(syncml::StatusCode::kNotFound, "no virtual machine has this id");
    }
    auto request = MachineRequest<v1::DeleteVirtualMachineRequest>(call);
    ASSIGN_OR_RETURN(const bool force, ParseForce(call, ""));
    request.set_force(force);
    return OutcomeOf(Invoke(view.machines(), &Machines::DeleteVirtualMachine, request));
  };
}

Exec Clone(DeviceView& view) {
  return [&view](const Call& call) -> absl::StatusOr<ExecOutcome> {
    auto request = MachineRequest<v1::CloneVirtualMachineRequest>(call);
    request.set_display_name(call.value);
    return OutcomeOf(Invoke(view.machines(), &Machines::CloneVirtualMachine, request));
  };
}

Exec Lock(DeviceView& view) {
  return [&view](const Call& call) -> absl::StatusOr<ExecOutcome> {
    v1::LockVirtualMachineRequest request;
    request.set_virtual_machine(VirtualMachineName(call.names[0]));
    SetWho(call, request);
    request.set_reason(call.value);
    return OutcomeOf(Invoke(view.policies(), &Policies::LockVirtualMachine, request));
  };
}

// The argument: nothing, or `key:` and the base64 of the key that the server opened from the
// escrow.
absl::Status ParseReleasedKey(const Call& call, v1::UnlockVirtualMachineRequest& request) {
  if (call.value.empty()) return absl::OkStatus();
  absl::string_view text = call.value;
  if (absl::ConsumePrefix(&text, "key:")) {
    const absl::StatusOr<std::string> key = syncml::Base64Decode(text);
    if (key.ok() && !key->empty()) {
      request.set_released_key(*key);
      return absl::OkStatus();
    }
  }
  return DmError(syncml::StatusCode::kIncompleteCommand,
                 "the argument of Unlock is empty, or key: and base64");
}

Exec Unlock(DeviceView& view) {
  return [&view](const Call& call) -> absl::StatusOr<ExecOutcome> {
    v1::UnlockVirtualMachineRequest request;
    request.set_virtual_machine(VirtualMachineName(call.names[0]));
    SetWho(call, request);
    RETURN_IF_ERROR(ParseReleasedKey(call, request));
    return OutcomeOf(Invoke(view.policies(), &Policies::UnlockVirtualMachine, request));
  };
}

}  // namespace

std::vector<NodeType> MachineOperationNodes(DeviceView& view, SettingsStore& settings) {
  std::vector<NodeType> nodes = {{.path = "VMs/*/Operations"}};
  const auto add = [&](const char* name, Exec exec) {
    nodes.push_back(OperationNode(view, name, std::move(exec)));
  };
  add("Start", Plain(view, &Machines::StartVirtualMachine));
  add("Stop", Stop(view, settings));
  add("Suspend", Plain(view, &Machines::SuspendVirtualMachine));
  add("Resume", Plain(view, &Machines::ResumeVirtualMachine));
  add("Pause", Plain(view, &Machines::PauseVirtualMachine));
  add("Unpause", Plain(view, &Machines::UnpauseVirtualMachine));
  add("Lock", Lock(view));
  add("Unlock", Unlock(view));
  add("Delete", Delete(view));
  // A repeat finds its virtual machine gone; the controller knows what the first one did.
  nodes.back().exec_when_gone = true;
  add("Clone", Clone(view));
  return nodes;
}

}  // namespace virmo::dm_bridge
