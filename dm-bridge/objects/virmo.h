// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "dm-bridge/objects/device_view.h"
#include "dm-bridge/objects/provision.h"
#include "dm-bridge/objects/settings.h"
#include "dm-bridge/objects/transfers.h"
#include "dm-bridge/tree/node.h"

// The Virtualization Management Object (`urn:oma:mo:oma-virmo:1.0`), table by table. What is
// mounted is what the services can do; a node of a function that is not built is not there.
namespace virmo::dm_bridge {

// The whole object, mounted at `./VirMO`. Its handlers use what is given for as long as the tree
// is used.
ManagementObject MakeVirmoObject(DeviceView& view, SettingsStore& settings,
                                 ProvisionStore& provisions, TransferStore& transfers);

// Its parts; paths are relative to `./VirMO`.
std::vector<NodeType> HostNodes(DeviceView& view);
std::vector<NodeType> ConfigNodes(SettingsStore& settings);
std::vector<NodeType> MachineNodes(DeviceView& view);
std::vector<NodeType> MachineOperationNodes(DeviceView& view, SettingsStore& settings);
std::vector<NodeType> MachineResourceNodes(DeviceView& view);
std::vector<NodeType> MachineLockNodes(DeviceView& view);
std::vector<NodeType> MachineUserUnlockNodes(DeviceView& view);
std::vector<NodeType> MachinePeripheralNodes(DeviceView& view);
std::vector<NodeType> ProvisionNodes(DeviceView& view, ProvisionStore& provisions);
std::vector<NodeType> TransferNodes(DeviceView& view, TransferStore& transfers);

// A leaf of a virtual machine (`VMs/*/…`) whose value is a function of what vm-controller tells.
NodeType MachineLeaf(DeviceView& view, std::string path, Format format,
                     std::function<std::string(const v1::VirtualMachine&)> value);

// The outcome of a call that began an operation: its error if it is done with one.
absl::StatusOr<ExecOutcome> OutcomeOf(
    const absl::StatusOr<google::longrunning::Operation>& operation);

// `20250101T120000Z`; empty if unset.
std::string IsoTime(const google::protobuf::Timestamp& time);

}  // namespace virmo::dm_bridge
