// SPDX-License-Identifier: Apache-2.0
// Clone: a full copy, that shares nothing with its source.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/qemu_img.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/disk_room.h"
#include "vm-controller/operations/launch.h"
#include "vm-controller/operations/remove.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

absl::Status Durable(const std::string& from, const std::string& to, const std::string& folder) {
  const int fd = open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = fd >= 0 && fsync(fd) == 0;
  if (fd >= 0) close(fd);
  if (!synced || std::rename(from.c_str(), to.c_str()) != 0) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot finish ", to));
  }
  return SyncDirectory(folder);
}

absl::Status Copy(const Job& job, const std::string& clone_id) {
  const std::string source = job.shop.files.Disk(job.vm_id);
  const std::string target = job.shop.files.Disk(clone_id);
  const std::string temporary = target + ".tmp";
  if (access(target.c_str(), F_OK) == 0) return absl::OkStatus();
  struct stat info;
  if (stat(source.c_str(), &info) == 0) {
    RETURN_IF_ERROR(CheckDiskRoom(job.shop, info.st_blocks * 512));
  }
  RETURN_IF_ERROR(MakeMachineDirectories(job.shop.files, clone_id));
  unlink(temporary.c_str());
  RETURN_IF_ERROR(CopyDisk(source, temporary, job.is_cancelled));
  chmod(temporary.c_str(), 0600);
  return Durable(temporary, target, job.shop.files.Directory(clone_id));
}

absl::Status Define(const Job& job, const std::string& clone_id) {
  ASSIGN_OR_RETURN(const DomainSpec spec, SpecOf(job, clone_id));
  return job.shop.hypervisor.Define(spec);
}

// The copy's own record ends together with the operation.
absl::Status EndClone(const Job& job, const std::string& clone_id, const absl::Status& outcome) {
  if (!outcome.ok()) return job.shop.machines.Remove(clone_id, /*keep_tombstone=*/false);
  return job.shop.machines.Change(clone_id, [](MachineRecord& record) {
    record.vm.set_state(VirtualMachine::STATE_STOPPED);
    record.vm.clear_current_operation();
  });
}

}  // namespace

Plan MakeClonePlan(Job& job, const std::string& clone_id) {
  Plan plan;
  plan.result_id = clone_id;
  plan.steps = {{"copy", [&job, clone_id] { return Copy(job, clone_id); }},
                {"define", [&job, clone_id] { return Define(job, clone_id); }}};
  plan.roll_back = [&job, clone_id]() -> absl::Status {
    RETURN_IF_ERROR(RemoveDomain(job.shop.hypervisor, clone_id));
    return RemoveMachineFiles(job.shop.files, clone_id);
  };
  plan.on_success = [](MachineRecord& record) {
    record.vm.set_state(VirtualMachine::STATE_STOPPED);
  };
  plan.at_end = [&job, clone_id](const absl::Status& outcome) {
    return EndClone(job, clone_id, outcome);
  };
  return plan;
}

}  // namespace virmo::vm_controller
