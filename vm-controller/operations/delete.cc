// SPDX-License-Identifier: Apache-2.0
// Delete (VirMO-HLF-02, HLF-10).
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/remove.h"
#include "vm-controller/wipe_file.h"

namespace virmo::vm_controller {

absl::Status RemoveMachineFiles(const MachineFiles& files, const std::string& vm_id) {
  RETURN_IF_ERROR(WipeDirectory(files.Directory(vm_id)));
  return SyncDirectory(files.Root());
}

absl::Status RemoveDomain(Hypervisor& hypervisor, const std::string& vm_id) {
  const absl::Status status = hypervisor.Destroy(vm_id);
  if (ReasonOf(status) == v1::ErrorInfo::REASON_VM_NOT_FOUND) return absl::OkStatus();
  RETURN_IF_ERROR(status);
  return hypervisor.Undefine(vm_id);
}

Plan MakeDeletePlan(Job& job) {
  Plan plan;
  plan.steps = {
      {"undefine", [&job] { return RemoveDomain(job.shop.hypervisor, job.vm_id); }},
      {"discard",
       [&job] {
         job.shop.consoles.Detach(job.vm_id);
         return RemoveMachineFiles(job.shop.files, job.vm_id);
       }},
      // What only it still needed of the disk it shared with clones.
      {"layers", [&job] { return job.shop.layers.Release(job.vm_id); }},
  };
  plan.at_end = [&job](const absl::Status& outcome) {
    return outcome.ok() ? job.shop.snapshots.RemoveAll(job.vm_id) : absl::OkStatus();
  };
  plan.fate_on_success = Plan::Fate::kRemoveForGood;
  return plan;
}

}  // namespace virmo::vm_controller
