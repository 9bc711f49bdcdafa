// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/device.pb.h"
#include "virmo/v1/policy.pb.h"

// The VirMO tree as this server uses it: where things are, and what they mean. Pure.
namespace virmo::server {

inline constexpr const char* kVirtualMachinesUri = "./VirMO/VMs";

// Below a virtual machine: its data key, sealed for this server (base64).
inline constexpr const char* kKeyEscrowLeaf = "Lock/KeyEscrow";

std::string VirtualMachineUri(absl::string_view id);
std::string ProvisionUri(absl::string_view command_id);

// The name of an action's node below Operations, `Start`; for Get and Replace the action's name.
std::string OperationOf(const v1::Action& action);

// The id in `./VirMO/VMs/<id>…`; empty if the URI is elsewhere.
std::string VirtualMachineOfUri(absl::string_view uri);

// Leaves of a virtual machine, by their path below its node (`Lock/State`).
using Leaves = std::map<std::string, std::string>;

// The leaves that ReadVirtualMachine() looks at.
const std::vector<std::string>& InterestingLeaves();

// Makes what the API shows of the leaves read. Nothing if there is no readable State.
std::optional<v1::DeviceVirtualMachine> ReadVirtualMachine(absl::string_view device,
                                                           absl::string_view id,
                                                           const Leaves& leaves);

// Whether the state read shows what the action wants. `vm` is null if there is none (any more).
bool ReachesGoal(const v1::Action& action, const v1::DeviceVirtualMachine* vm);

// What the state read is, for people: `State 30, locked`.
std::string DescribeState(const v1::DeviceVirtualMachine* vm);

// The node of a class of peripherals, `USBStorage`; empty for none.
std::string PeripheralNode(v1::PeripheralClass peripheral_class);

// A leaf to be written.
struct Setting {
  std::string uri;
  std::string format;
  std::string value;
};

// The leaves that a change of resources writes, in the order in which they make sense.
std::vector<Setting> ResourceSettings(const v1::Action::SetResources& resources,
                                      absl::string_view vm);

// The node of the rule that this is about; the peer is an id or `*`.
std::string SharingRuleUri(absl::string_view vm, const v1::Action::SetSharing& sharing);
std::string SharingChannel(v1::SharingRule::Channel channel);        // `network`, `*`
std::string SharingDirection(v1::SharingRule::Direction direction);  // `in`, `out`, `both`

std::string TransferUri(absl::string_view command_id);
std::string FirmwareUri(absl::string_view vm);

// Whether an alert of this type tells of success: FUMO counts from 200, all others from 1200.
bool IsSuccessResult(absl::string_view alert_type, int result_code);

}  // namespace virmo::server
