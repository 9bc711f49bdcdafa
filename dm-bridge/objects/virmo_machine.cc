// SPDX-License-Identifier: Apache-2.0
// `./VirMO/VMs/<x>`: what a virtual machine is.

#include <utility>

#include "absl/strings/str_cat.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using Machine = v1::VirtualMachine;
using MachineTest = std::function<bool(const Machine&)>;

NodeType PresentIf(DeviceView& view, NodeType node, MachineTest test) {
  node.present = [&view, test = std::move(test)](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const DeviceView::Machine vm, view.GetMachine(call.names[0]));
    return test(*vm);
  };
  return node;
}

// The etag of the virtual machine, if the value that is to be replaced is the expected one.
absl::StatusOr<std::string> CheckUnchanged(DeviceView& view, const Call& call,
                                           const std::string& field) {
  v1::GetVirtualMachineRequest get;
  get.set_name(VirtualMachineName(call.names[0]));
  ASSIGN_OR_RETURN(
      const Machine vm,
      Invoke(view.machines(), &v1::VirtualMachineService::Stub::GetVirtualMachine, get));
  std::string now = field == "display_name" ? vm.display_name() : vm.description();
  if (field == "auto_start") now = BoolText(vm.auto_start());
  RETURN_IF_ERROR(CheckExpected(call, now));
  return vm.etag();
}

absl::Status Update(DeviceView& view, const Call& call, const std::string& field) {
  v1::UpdateVirtualMachineRequest request;
  Machine& vm = *request.mutable_virtual_machine();
  vm.set_name(VirtualMachineName(call.names[0]));
  if (call.expected) {
    ASSIGN_OR_RETURN(*vm.mutable_etag(), CheckUnchanged(view, call, field));
  }
  if (field == "display_name") vm.set_display_name(call.value);
  if (field == "description") vm.set_description(call.value);
  if (field == "auto_start") {
    ASSIGN_OR_RETURN(const bool auto_start, ParseBool(call.value));
    vm.set_auto_start(auto_start);
  }
  request.mutable_update_mask()->add_paths(field);
  request.set_request_id(RequestIdOf(call));
  view.OnWrite(call.names[0]);
  return Invoke(view.machines(), &v1::VirtualMachineService::Stub::UpdateVirtualMachine, request)
      .status();
}

NodeType Writable(DeviceView& view, NodeType node, std::string field) {
  node.access = kGet | kReplace;
  node.write = [&view, field = std::move(field)](const Call& call) {
    return Update(view, call, field);
  };
  return node;
}

NodeType MachineNode(DeviceView& view) {
  NodeType node{.path = "VMs/*"};
  node.list = [&view](const Call&) { return view.ListMachineIds(); };
  node.present = [&view](const Call& call) -> absl::StatusOr<bool> {
    const absl::StatusOr<DeviceView::Machine> vm = view.GetMachine(call.names[0]);
    if (absl::IsNotFound(vm.status())) return false;
    RETURN_IF_ERROR(vm.status());
    return true;
  };
  return node;
}

NodeType LastOperationNode(DeviceView& view) {
  return PresentIf(view, {.path = "VMs/*/LastOperation"},
                   [](const Machine& vm) { return vm.has_last_operation(); });
}

void AddLastOperation(DeviceView& view, std::vector<NodeType>& nodes) {
  const std::string root = "VMs/*/LastOperation";
  nodes.push_back(LastOperationNode(view));
  nodes.push_back(MachineLeaf(view, root + "/Name", Format::kChr,
                              [](const Machine& vm) { return vm.last_operation().kind(); }));
  nodes.push_back(MachineLeaf(view, root + "/ResultCode", Format::kInt, [](const Machine& vm) {
    return IntText(vm.last_operation().result_code());
  }));
  nodes.push_back(MachineLeaf(view, root + "/Correlator", Format::kChr,
                              [](const Machine& vm) { return vm.last_operation().correlator(); }));
  nodes.push_back(MachineLeaf(view, root + "/TStamp", Format::kChr, [](const Machine& vm) {
    return IsoTime(vm.last_operation().end_time());
  }));
  nodes.push_back(MachineLeaf(view, root + "/Detail", Format::kChr,
                              [](const Machine& vm) { return vm.last_operation().detail(); }));
}

std::string IdOf(const Machine& vm) { return VirtualMachineId(vm.name()).value_or(vm.name()); }

}  // namespace

NodeType MachineLeaf(DeviceView& view, std::string path, Format format,
                     std::function<std::string(const Machine&)> value) {
  NodeType node{.path = std::move(path), .format = format};
  node.read = [&view, value = std::move(value)](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const DeviceView::Machine vm, view.GetMachine(call.names[0]));
    return value(*vm);
  };
  return node;
}

std::vector<NodeType> MachineNodes(DeviceView& view) {
  std::vector<NodeType> nodes = {{.path = "VMs"}, MachineNode(view)};
  const auto leaf = [&view](const char* name, Format format,
                            std::function<std::string(const Machine&)> value) {
    return MachineLeaf(view, absl::StrCat("VMs/*/", name), format, std::move(value));
  };
  nodes.push_back(leaf("ID", Format::kChr, IdOf));
  nodes.push_back(Writable(
      view, leaf("Name", Format::kChr, [](const Machine& vm) { return vm.display_name(); }),
      "display_name"));
  nodes.push_back(Writable(
      view, leaf("Description", Format::kChr, [](const Machine& vm) { return vm.description(); }),
      "description"));
  nodes.push_back(leaf("Role", Format::kInt, [](const Machine& vm) { return IntText(vm.role()); }));
  nodes.push_back(leaf("Owner", Format::kChr, [](const Machine& vm) { return vm.owner(); }));
  nodes.push_back(
      leaf("State", Format::kInt, [](const Machine& vm) { return IntText(vm.state()); }));
  nodes.push_back(
      leaf("Paused", Format::kBool, [](const Machine& vm) { return BoolText(vm.paused()); }));
  nodes.push_back(Writable(
      view,
      leaf("AutoStart", Format::kBool, [](const Machine& vm) { return BoolText(vm.auto_start()); }),
      "auto_start"));
  nodes.push_back(PresentIf(
      view, leaf("CreatedFrom", Format::kChr, [](const Machine& vm) { return vm.created_from(); }),
      [](const Machine& vm) { return !vm.created_from().empty(); }));
  AddLastOperation(view, nodes);
  return nodes;
}

}  // namespace virmo::dm_bridge
