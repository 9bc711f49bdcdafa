// SPDX-License-Identifier: Apache-2.0
// Delete (VirMO-HLF-02, HLF-10).
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/remove.h"

namespace virmo::vm_controller {

absl::Status RemoveMachineFiles(const MachineFiles& files, const std::string& vm_id) {
  std::error_code error;
  std::filesystem::remove_all(files.Directory(vm_id), error);
  if (error) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED,
                 absl::StrCat("cannot remove ", files.Directory(vm_id), ": ", error.message()));
  }
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
  };
  plan.fate_on_success = Plan::Fate::kRemoveForGood;
  return plan;
}

}  // namespace virmo::vm_controller
