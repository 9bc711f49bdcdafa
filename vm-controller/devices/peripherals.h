// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "services/runtime/mutex.h"
#include "services/runtime/outbox.h"
#include "vm-controller/devices/device_port.h"
#include "vm-controller/devices/host_devices.h"
#include "vm-controller/devices/peripheral_rules.h"
#include "vm-controller/machines.h"
#include "vm-controller/policy_part.h"

namespace virmo::vm_controller {

// Gives virtual machines the host's devices that their policies allow, and no others
// (VirMO-HLF-06): plugs and unplugs as policies, devices and virtual machines come and go, hands
// exclusive ones over, and takes out what somebody else plugged in. What a domain has is read from
// it each time, so nothing is lost when we are killed. Thread-safe.
class Peripherals : public PolicyPart {
 public:
  struct Parts {
    Machines& machines;
    DevicePort& port;
    HostDevices& host;
    Outbox& outbox;
    // Has the policy of a virtual machine enforced again, soon.
    std::function<void(const std::string& id)> schedule;
  };

  explicit Peripherals(Parts parts) : parts_(std::move(parts)) {}

  std::vector<v1::AppliedItem> Enforce(const PolicySubject& subject) override;
  absl::Status BeforeRun(const std::string& id) override { return TakeOut(id); }
  absl::Status BeforeSave(const std::string& id) override { return TakeOut(id); }

  // A virtual machine's record or state changed: if it stopped, others may have what it had.
  void OnMachineChanged(const std::string& id);

  // Devices came or went.
  void OnHostChanged();

 private:
  struct Plan;

  absl::Status TakeOut(const std::string& id);
  void SetClaim(const PolicySubject& subject);
  void Learn();
  void Decide(const std::string& id, Plan& plan);
  void Keep(const PolicySubject& subject, const LiveDevice& device, Plan& plan);
  void Plug(const PolicySubject& subject, const std::string& device_id, Plan& plan);
  void Revert(const PolicySubject& subject, const LiveDevice& device, Plan& plan);
  void Release(const std::string& id);
  void SetHolder(const std::string& device_id, const std::string& id, bool holds);
  std::set<std::string> ClaimantsOf(const std::string& device_id, const std::string& except)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const std::string& id, const char* event, const std::string& detail);
  std::vector<v1::AppliedItem> Report(const PolicySubject& subject, const Plan& plan);
  v1::AppliedItem ReportRule(const PolicySubject& subject, const v1::PeripheralRule& rule,
                             const Plan& plan);

  const Parts parts_;
  Mutex mutex_;
  // By id of the virtual machine.
  std::map<std::string, PeripheralClaim> claims_ ABSL_GUARDED_BY(mutex_);
  // One at a time acts on the devices of a virtual machine.
  std::map<std::string, std::shared_ptr<Mutex>> gates_ ABSL_GUARDED_BY(mutex_);
  // By id of the host device, ids of virtual machines.
  std::map<std::string, std::set<std::string>> holders_ ABSL_GUARDED_BY(mutex_);
  bool learned_ ABSL_GUARDED_BY(mutex_) = false;
  // Foreign devices that were told of and are still there: id, alias.
  std::set<std::pair<std::string, std::string>> told_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::vm_controller
