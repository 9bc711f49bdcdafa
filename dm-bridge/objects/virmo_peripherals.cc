// SPDX-License-Identifier: Apache-2.0
// `./VirMO/VMs/<x>/Peripherals`: each class of peripherals as an instance of the Device Capability
// Management Object (OMA-TS-DCMO-V1_0; VirMO-HLF-06).

#include <array>
#include <utility>

#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/peripheral_class.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

constexpr char kRoot[] = "VMs/*/Peripherals";

std::vector<v1::PeripheralClass> AllClasses() {
  std::vector<v1::PeripheralClass> all;
  for (int i = v1::PeripheralClass_MIN + 1; i <= v1::PeripheralClass_MAX; ++i) {
    all.push_back(static_cast<v1::PeripheralClass>(i));
  }
  return all;
}

// DCMO's groups.
std::string GroupOf(v1::PeripheralClass one) {
  switch (one) {
    case v1::PERIPHERAL_CLASS_WIFI:
    case v1::PERIPHERAL_CLASS_BLUETOOTH:
    case v1::PERIPHERAL_CLASS_NFC:
    case v1::PERIPHERAL_CLASS_CELLULAR_DATA:
      return "Connectivity";
    case v1::PERIPHERAL_CLASS_VOICE_CALL_OUT:
    case v1::PERIPHERAL_CLASS_VOICE_CALL_IN:
      return "Service";
    case v1::PERIPHERAL_CLASS_USB_STORAGE:
    case v1::PERIPHERAL_CLASS_OTHER_USB:
    case v1::PERIPHERAL_CLASS_MEMORY_CARD:
    case v1::PERIPHERAL_CLASS_SMART_CARD:
      return "I/O";
    default:
      return "Hardware";
  }
}

v1::PeripheralClass ClassOf(const Call& call) { return PeripheralClassOfNode(call.names[1]); }

// What is decided of the class; nothing was: denied.
v1::PeripheralRule RuleIn(const DeviceView::Policy& status, v1::PeripheralClass one) {
  v1::PeripheralRule rule;
  rule.set_peripheral_class(one);
  if (status == nullptr) return rule;
  for (const v1::PeripheralRule& known : status->policy().peripherals()) {
    if (known.peripheral_class() == one) return known;
  }
  return rule;
}

absl::StatusOr<v1::PeripheralRule> RuleOf(DeviceView& view, const Call& call) {
  ASSIGN_OR_RETURN(const DeviceView::Policy status, view.GetPolicy(call.names[0]));
  return RuleIn(status, ClassOf(call));
}

absl::StatusOr<google::longrunning::Operation> Set(DeviceView& view, const Call& call,
                                                   const v1::PeripheralRule& rule) {
  v1::SetPeripheralRequest request;
  request.set_virtual_machine(VirtualMachineName(call.names[0]));
  *request.mutable_rule() = rule;
  request.set_request_id(RequestIdOf(call));
  *request.mutable_initiator() = InitiatorOf(call);
  view.OnWrite(call.names[0]);
  return Invoke(view.policies(), &v1::PolicyService::Stub::SetPeripheral, request);
}

NodeType Leaf(const std::string& name, Format format, NodeType::Reader read) {
  NodeType node{.path = std::string(kRoot) + "/*/" + name, .format = format};
  node.read = std::move(read);
  return node;
}

// A flag of the rule that a server may change.
NodeType FlagLeaf(DeviceView& view, const std::string& name,
                  bool (v1::PeripheralRule::*get)() const, void (v1::PeripheralRule::*set)(bool)) {
  NodeType node =
      Leaf(name, Format::kBool, [&view, get](const Call& call) -> absl::StatusOr<std::string> {
        ASSIGN_OR_RETURN(const v1::PeripheralRule rule, RuleOf(view, call));
        return BoolText((rule.*get)());
      });
  node.access = kGet | kReplace;
  node.write = [&view, set](const Call& call) -> absl::Status {
    ASSIGN_OR_RETURN(const bool value, ParseBool(call.value));
    ASSIGN_OR_RETURN(v1::PeripheralRule rule, RuleOf(view, call));
    (rule.*set)(value);
    return Set(view, call, rule).status();
  };
  return node;
}

NodeType SwitchNode(DeviceView& view, const std::string& name, bool enabled) {
  NodeType node{.path = std::string(kRoot) + "/*/Operations/" + name,
                .format = Format::kNull,
                .access = kExec};
  node.exec = [&view, enabled](const Call& call) -> absl::StatusOr<ExecOutcome> {
    if (!call.value.empty()) {
      return DmError(syncml::StatusCode::kIncompleteCommand, "the operation takes no argument");
    }
    ASSIGN_OR_RETURN(v1::PeripheralRule rule, RuleOf(view, call));
    rule.set_enabled(enabled);
    return OutcomeOf(Set(view, call, rule));
  };
  return node;
}

NodeType InstanceNode() {
  NodeType node{.path = std::string(kRoot) + "/*", .type = "urn:oma:mo:oma-dcmo:1.0"};
  node.list = [](const Call&) -> absl::StatusOr<std::vector<std::string>> {
    std::vector<std::string> names;
    for (const v1::PeripheralClass one : AllClasses()) names.push_back(PeripheralNodeName(one));
    return names;
  };
  node.present = [](const Call& call) -> absl::StatusOr<bool> {
    return ClassOf(call) != v1::PERIPHERAL_CLASS_UNSPECIFIED;
  };
  return node;
}

NodeType AttachedLeaf(DeviceView& view) {
  return Leaf("Attached", Format::kBool, [&view](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::ListHostDevicesResponse all, view.GetHostDevices());
    for (const v1::HostDevice& device : all.devices()) {
      for (const int one : device.classes()) {
        if (device.present() && one == ClassOf(call)) return BoolText(true);
      }
    }
    return BoolText(false);
  });
}

NodeType EnabledLeaf(DeviceView& view) {
  return Leaf("Enabled", Format::kBool, [&view](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const DeviceView::Policy status, view.GetPolicy(call.names[0]));
    const bool locked = status == nullptr || status->policy().lock().locked();
    return BoolText(!locked && RuleIn(status, ClassOf(call)).enabled());
  });
}

}  // namespace

std::vector<NodeType> MachinePeripheralNodes(DeviceView& view) {
  std::vector<NodeType> nodes = {{.path = kRoot}};
  nodes.push_back(InstanceNode());
  nodes.push_back(
      Leaf("Property", Format::kChr,
           [](const Call& call) -> absl::StatusOr<std::string> { return call.names[1]; }));
  nodes.push_back(Leaf("Group", Format::kChr, [](const Call& call) -> absl::StatusOr<std::string> {
    return GroupOf(ClassOf(call));
  }));
  nodes.push_back(AttachedLeaf(view));
  nodes.push_back(EnabledLeaf(view));
  nodes.push_back(FlagLeaf(view, "Exclusive", &v1::PeripheralRule::exclusive,
                           &v1::PeripheralRule::set_exclusive));
  nodes.push_back({.path = std::string(kRoot) + "/*/DCMOConfig"});
  nodes.push_back(FlagLeaf(view, "DCMOConfig/DenyUserEnable", &v1::PeripheralRule::deny_user_enable,
                           &v1::PeripheralRule::set_deny_user_enable));
  nodes.push_back({.path = std::string(kRoot) + "/*/Operations"});
  nodes.push_back(SwitchNode(view, "Enable", true));
  nodes.push_back(SwitchNode(view, "Disable", false));
  return nodes;
}

}  // namespace virmo::dm_bridge
