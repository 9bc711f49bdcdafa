// SPDX-License-Identifier: Apache-2.0
// Clone: a full copy that shares nothing with its source, of a machine that is stopped or of the
// instant at which a running one is copied; or one that shares what is on the disk so far.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/image/qemu_img.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/disk_room.h"
#include "vm-controller/operations/launch.h"
#include "vm-controller/operations/remove.h"
#include "vm-controller/wipe_file.h"

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

// The source's disk is as large as what it may have to write.
absl::Status CheckRoom(const Job& job, const std::string& source) {
  struct stat info;
  if (stat(source.c_str(), &info) != 0) return absl::OkStatus();
  return CheckDiskRoom(job.shop, info.st_blocks * 512);
}

void TellProgress(const Job& job, int64_t done, int64_t total) {
  const int percent = total > 0 ? static_cast<int>(std::min(done, total) * 99 / total) : 0;
  job.shop.journal.SetProgress(job.id, percent, done, total);
}

// qemu-img tells nobody how far it is; the file that grows does.
std::function<bool()> WatchCopy(const Job& job, const std::string& source,
                                const std::string& target) {
  return [&job, source, target] {
    struct stat from, to;
    if (stat(source.c_str(), &from) == 0 && stat(target.c_str(), &to) == 0) {
      TellProgress(job, to.st_blocks * 512, from.st_blocks * 512);
    }
    return job.is_cancelled();
  };
}

// The hypervisor copies a disk that a guest is writing, as it is at one instant: the copy finds it
// as after a power cut.
absl::Status CopyLive(const Job& job, const std::string& target) {
  ASSIGN_OR_RETURN(const int64_t bytes, DiskSize(job.shop.files.Disk(job.vm_id)));
  RETURN_IF_ERROR(MakeEmptyDisk(bytes, target));
  ActWatch watch;
  watch.is_cancelled = job.is_cancelled;
  watch.on_progress = [&job](int64_t done, int64_t total) { TellProgress(job, done, total); };
  RETURN_IF_ERROR(job.shop.hypervisor.CopyLiveDisk(job.vm_id, target, watch));
  // It was QEMU's user's while it was written.
  if (chown(target.c_str(), geteuid(), getegid()) == 0) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot own ", target));
}

absl::Status Copy(const Job& job, const std::string& clone_id) {
  const std::string source = job.shop.files.Disk(job.vm_id);
  const std::string target = job.shop.files.Disk(clone_id);
  const std::string temporary = target + ".tmp";
  if (access(target.c_str(), F_OK) == 0) return absl::OkStatus();
  RETURN_IF_ERROR(CheckRoom(job, source));
  RETURN_IF_ERROR(MakeMachineDirectories(job.shop.files, clone_id));
  RETURN_IF_ERROR(WipeFile(temporary));
  ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(job.vm_id));
  RETURN_IF_ERROR(record.stable_state == VirtualMachine::STATE_RUNNING
                      ? CopyLive(job, temporary)
                      : CopyDisk(source, temporary, WatchCopy(job, source, temporary)));
  chmod(temporary.c_str(), 0600);
  return Durable(temporary, target, job.shop.files.Directory(clone_id));
}

// The layer's id follows from the operation's, so that a repeat finds it.
std::string LayerOf(const Job& job) { return NameUuid(job.id, "layer"); }

absl::Status Share(const Job& job, const std::string& clone_id) {
  RETURN_IF_ERROR(CheckDiskRoom(job.shop, 0));
  RETURN_IF_ERROR(MakeMachineDirectories(job.shop.files, clone_id));
  return job.shop.layers.AddCopy(clone_id, LayerOf(job));
}

absl::Status Undo(const Job& job, const std::string& clone_id, bool linked) {
  RETURN_IF_ERROR(RemoveDomain(job.shop.hypervisor, clone_id));
  RETURN_IF_ERROR(RemoveMachineFiles(job.shop.files, clone_id));
  if (!linked) return absl::OkStatus();
  RETURN_IF_ERROR(job.shop.layers.Release(clone_id));
  return job.shop.layers.Join(job.vm_id, LayerOf(job));
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

Plan MakeClonePlan(Job& job, const std::string& clone_id, bool linked) {
  Plan plan;
  plan.result_id = clone_id;
  if (linked) {
    plan.steps = {{"split", [&job] { return job.shop.layers.Split(job.vm_id, LayerOf(job)); }},
                  {"share", [&job, clone_id] { return Share(job, clone_id); }}};
  } else {
    plan.steps = {{"copy", [&job, clone_id] { return Copy(job, clone_id); }}};
  }
  plan.steps.push_back({"define", [&job, clone_id] { return Define(job, clone_id); }});
  plan.roll_back = [&job, clone_id, linked] { return Undo(job, clone_id, linked); };
  // A source that ran runs on, or has ended by itself; that is seen next.
  const auto settle = [](MachineRecord& record) { record.vm.set_state(record.stable_state); };
  plan.on_success = settle;
  plan.on_failure = settle;
  plan.at_end = [&job, clone_id](const absl::Status& outcome) {
    return EndClone(job, clone_id, outcome);
  };
  return plan;
}

}  // namespace virmo::vm_controller
