// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "virmo/v1/policy_service.pb.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/machine_store.h"

namespace virmo::vm_controller {

// A virtual machine whose policy is to be made true.
struct PolicySubject {
  const std::string& id;
  const MachineRecord& record;
  const std::optional<v1::EffectivePolicy>& policy;  // Nothing decided: as locked.
  const std::optional<Domain>& domain;               // As seen a moment ago.
  bool locked = false;
  bool started = false;
};

// What makes one subject of a policy true: peripherals, sharing, resources. Called by the
// enforcer, for one virtual machine at a time on one thread, whenever policy or state may have
// changed; must be quick to find that nothing is to be done.
class PolicyPart {
 public:
  virtual ~PolicyPart() = default;

  // Makes it so, and tells how far it is. What failed is called for again.
  virtual std::vector<v1::AppliedItem> Enforce(const PolicySubject& subject) = 0;

  // The virtual machine is about to be let run from its start or saved state: nothing that its
  // policy forbids may be open then. UNAVAILABLE and the like: it must not run.
  virtual absl::Status BeforeRun(const std::string& /*id*/) { return absl::OkStatus(); }

  // Its state is about to be saved: nothing that may be gone, or forbidden, when it is loaded
  // again may be in it.
  virtual absl::Status BeforeSave(const std::string& /*id*/) { return absl::OkStatus(); }
};

using PolicyParts = std::vector<PolicyPart*>;

// One item of a report.
inline v1::AppliedItem MakeAppliedItem(const std::string& item, v1::AppliedItem::Outcome outcome,
                                       const std::string& detail = "") {
  v1::AppliedItem applied;
  applied.set_item(item);
  applied.set_outcome(outcome);
  applied.set_detail(detail);
  return applied;
}

}  // namespace virmo::vm_controller
