// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/device.pb.h"

// The VirMO tree as this server uses it: where things are, and what they mean. Pure.
namespace virmo::server {

inline constexpr const char* kVirtualMachinesUri = "./VirMO/VMs";

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

// Whether two values of a node are the same for the peer: numbers and booleans by value.
bool SameValue(absl::string_view format, absl::string_view a, absl::string_view b);

}  // namespace virmo::server
