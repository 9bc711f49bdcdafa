// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "services/runtime/mutex.h"
#include "vm-controller/devices/device_port.h"
#include "vm-controller/policy_part.h"
#include "vm-controller/sharing/packet_filter.h"

namespace virmo::vm_controller {

// Lets virtual machines exchange what their policies allow (VirMO-HLF-07). Between guests on one
// bridge by the kernel's packet filter: what is not allowed is dropped, and a guest is not let run
// before the filter is there. A locked virtual machine exchanges nothing. Thread-safe.
class Sharing : public PolicyPart {
 public:
  // Must outlive it.
  explicit Sharing(DevicePort& devices) : devices_(devices) {}

  std::vector<v1::AppliedItem> Enforce(const PolicySubject& subject) override;
  absl::Status BeforeRun(const std::string& id) override;

 private:
  struct Member {
    std::vector<std::string> taps;
    std::set<std::string> may_send_to;  // Ids.
    std::set<std::string> may_hear;     // Ids.
  };

  absl::Status Update(const std::string& id, std::optional<Member> member);
  TapFlows Flows() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  DevicePort& devices_;
  Mutex mutex_;
  std::map<std::string, Member> members_ ABSL_GUARDED_BY(mutex_);
  // What the kernel was given; nothing: not yet.
  std::optional<TapFlows> set_ ABSL_GUARDED_BY(mutex_);
};

// What can be opened on this host at all, for Host.operations. `only_user_networks`: guests have
// no interfaces but QEMU's own NAT.
std::vector<v1::OperationSupport> SharingAbilities(bool only_user_networks);

}  // namespace virmo::vm_controller
