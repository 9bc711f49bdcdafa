// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "virmo/v1/policy_service.pb.h"
#include "vm-controller/policy_enforcer.h"

namespace virmo::vm_controller {

// One time that the policy of one virtual machine is put into force. Used once.
class EnforcementPass {
 public:
  EnforcementPass(Machines& machines, Hypervisor& hypervisor, ConsoleHub& consoles,
                  const PolicyEnforcer::Saving& saving, const PolicyParts& parts, std::string id)
      : machines_(machines),
        hypervisor_(hypervisor),
        consoles_(consoles),
        saving_(saving),
        parts_(parts),
        id_(std::move(id)) {}

  // Returns whether there is something to report: an outcome of every item. Else it is moot (no
  // such virtual machine, or no policy was ever received), or must be done again.
  bool Run();
  bool is_moot() const { return moot_; }

  int64_t policy_version() const { return policy_ ? policy_->version() : 0; }
  const std::vector<v1::AppliedItem>& items() const { return items_; }
  bool all_well() const { return all_well_; }

 private:
  void Close();
  bool Wipe();
  void Open();
  void SetChannels(Access access);
  bool HoldRun();
  bool HoldBySaving();
  bool HoldByPause();
  void ReleaseRun();
  void ReleaseBySavedState();
  void EnforceParts();
  void Allocate();
  void Record();
  bool IsNewest();
  void Add(const std::string& item, v1::AppliedItem::Outcome outcome,
           const std::string& detail = "");
  void Add(const std::string& item, const absl::Status& status);

  Machines& machines_;
  Hypervisor& hypervisor_;
  ConsoleHub& consoles_;
  const PolicyEnforcer::Saving& saving_;
  const PolicyParts& parts_;
  const std::string id_;
  std::optional<v1::EffectivePolicy> policy_;
  std::optional<Domain> domain_;
  MachineRecord record_;
  std::vector<v1::AppliedItem> items_;
  bool all_well_ = true;
  bool moot_ = false;
};

}  // namespace virmo::vm_controller
