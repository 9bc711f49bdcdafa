// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "dm-bridge/objects/device_view.h"
#include "dm-bridge/objects/provision.h"
#include "dm-bridge/tree/node.h"
#include "virmo/v1/virtual_machine_service.pb.h"

namespace virmo::dm_bridge {

// Carries provisioning requests out by vm-controller. A cheap value; what it refers to must
// outlive it. Thread-safe.
class Provisioner {
 public:
  enum class What { kDownload, kDownloadProvision, kProvision };

  Provisioner(DeviceView& view, ProvisionStore& store) : view_(&view), store_(&store) {}

  // The record of a request; while it runs, vm-controller is asked how far it is.
  absl::StatusOr<ProvisionRecord> Read(const std::string& name) const;

  // Begins what was Exec'd. A repeat of the same command finds the operation it began first.
  absl::StatusOr<ExecOutcome> Begin(const Call& call, What what) const;

  // Asks a running request to end; its own alert tells that it did.
  absl::StatusOr<ExecOutcome> Cancel(const Call& call) const;

 private:
  absl::StatusOr<std::string> Leaf(const std::string& name, const std::string& path) const;
  absl::StatusOr<v1::Package> MakePackage(const std::string& name) const;
  absl::StatusOr<v1::CreateVirtualMachineRequest> MakeRequest(const Call& call, What what) const;
  absl::Status AddAllocations(const std::string& name, v1::VirtualMachine& vm) const;
  absl::Status CheckMayBegin(const ProvisionRecord& record, const std::string& operation,
                             What what) const;

  DeviceView* view_;
  ProvisionStore* store_;
};

}  // namespace virmo::dm_bridge
