// SPDX-License-Identifier: Apache-2.0
// Provision (VirMO-HLF-01): fetch, verify, make a disk, define, and start if asked.
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/virtual_machine_service.pb.h"
#include "vm-controller/allocation.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/disk_room.h"
#include "vm-controller/operations/launch.h"
#include "vm-controller/operations/ovf_import.h"
#include "vm-controller/operations/remove.h"

namespace virmo::vm_controller {
namespace {

using v1::VirtualMachine;

constexpr int64_t kMib = 1 << 20;

// Fetching is most of the work: it is the first nine tenths.
constexpr int kFetchPercent = 90;

absl::Status Fetch(const Job& job, const v1::Package& package) {
  const auto on_progress = [&](int64_t done, int64_t total) {
    const int percent = total > 0 ? static_cast<int>(done * kFetchPercent / total) : 0;
    job.shop.journal.SetProgress(job.id, percent, done, total);
  };
  return job.shop.images.Provide(package, on_progress, job.is_cancelled).status();
}

absl::StatusOr<int64_t> DiskBytes(const MachineRecord& record, int64_t image_bytes) {
  const int64_t wanted = QuantityOf(record.vm.allocations(), v1::RESOURCE_KIND_STORAGE) * kMib;
  if (wanted == 0) return image_bytes;
  if (wanted >= image_bytes) return wanted;
  return Error(v1::ErrorInfo::REASON_PROVISION_FAILED,
               absl::StrCat("a disk of ", wanted / kMib, " MiB was asked, the package needs ",
                            (image_bytes + kMib - 1) / kMib, " MiB"));
}

absl::Status MakeDisk(const Job& job, const v1::Package& package) {
  const std::string disk = job.shop.files.Disk(job.vm_id);
  ASSIGN_OR_RETURN(const auto image, job.shop.images.Find(package.sha256()));
  if (!image) return Error(v1::ErrorInfo::REASON_PROVISION_FAILED, "the image has vanished");
  ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(job.vm_id));
  ASSIGN_OR_RETURN(const int64_t bytes, DiskBytes(record, image->virtual_bytes));
  RETURN_IF_ERROR(CheckDiskRoom(job.shop, 0));
  RETURN_IF_ERROR(MakeMachineDirectories(job.shop.files, job.vm_id));
  const std::string temporary = disk + ".tmp";
  if (access(disk.c_str(), F_OK) != 0) {
    unlink(temporary.c_str());
    RETURN_IF_ERROR(MakeOverlay(image->path, image->format, bytes, temporary));
    if (rename(temporary.c_str(), disk.c_str()) != 0) {
      return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot rename to ", disk));
    }
    RETURN_IF_ERROR(SyncDirectory(job.shop.files.Directory(job.vm_id)));
  }
  return job.shop.machines.Change(job.vm_id, [&](MachineRecord& changed) {
    changed.vm.mutable_disks(0)->set_capacity_mib((bytes + kMib - 1) / kMib);
  });
}

// From here on there is a virtual machine; should its first start fail, it stays, stopped.
absl::Status Define(const Job& job, bool start) {
  ASSIGN_OR_RETURN(const DomainSpec spec, SpecOf(job, job.vm_id));
  const absl::StatusOr<Domain> domain = job.shop.hypervisor.Get(job.vm_id);
  if (!domain.ok() || !IsStarted(*domain)) RETURN_IF_ERROR(job.shop.hypervisor.Define(spec));
  if (!start) return absl::OkStatus();
  return job.shop.machines.Change(job.vm_id, [](MachineRecord& record) {
    record.vm.set_state(VirtualMachine::STATE_STARTING);
  });
}

bool IsMade(const Job& job) {
  const absl::StatusOr<MachineRecord> record = job.shop.machines.store().Get(job.vm_id);
  return record.ok() && record->vm.state() != VirtualMachine::STATE_PROVISIONING;
}

absl::Status RollBack(const Job& job, const v1::Package& package) {
  if (IsMade(job)) return job.shop.hypervisor.Destroy(job.vm_id);
  RETURN_IF_ERROR(RemoveDomain(job.shop.hypervisor, job.vm_id));
  RETURN_IF_ERROR(RemoveMachineFiles(job.shop.files, job.vm_id));
  return job.shop.images.Discard(package.sha256());
}

Plan MakeDownloadPlan(Job& job, const v1::Package& package) {
  Plan plan;
  plan.steps = {{"fetch", [&job, package] { return Fetch(job, package); }},
                {"pin", [&job, package] { return job.shop.images.Pin(package.sha256(), true); }}};
  plan.roll_back = [&job, package] { return job.shop.images.Discard(package.sha256()); };
  return plan;
}

}  // namespace

std::string NewMachineId(const std::string& wanted_id, const std::string& request_id) {
  return wanted_id.empty() ? NameUuid(request_id, "virtual machine") : wanted_id;
}

absl::StatusOr<Plan> MakeProvisionPlan(Job& job) {
  v1::CreateVirtualMachineRequest request;
  if (!job.entry.request.UnpackTo(&request)) {
    return Error(v1::ErrorInfo::REASON_STORAGE_FAILED, "the recorded request is damaged");
  }
  const v1::Package package = request.package();
  if (request.download_only()) return MakeDownloadPlan(job, package);
  const bool start = request.start();
  ASSIGN_OR_RETURN(const ImageFormat format, FormatOf(package.media_type()));
  Plan plan;
  plan.steps = {{"fetch", [&job, package] { return Fetch(job, package); }}};
  if (IsOvf(format)) {
    plan.steps.push_back(
        {"describe", [&job, request] { return DescribeFromPackage(job, request); }});
  }
  plan.steps.push_back(
      {"admit", [&job] { return Admit(job, v1::OPERATION_KIND_DOWNLOAD_PROVISION); }});
  plan.steps.push_back({"disk", [&job, request, format] {
                          return IsOvf(format) ? MakePackageDisks(job, request)
                                               : MakeDisk(job, request.package());
                        }});
  plan.steps.push_back({"define", [&job, start] { return Define(job, start); }});
  if (start) {
    for (Step& step : LaunchSteps(job, StartFrom::kBoot, v1::OPERATION_KIND_START)) {
      plan.steps.push_back(std::move(step));
    }
  }
  plan.roll_back = [&job, package] { return RollBack(job, package); };
  plan.on_success = [&job, package, start](MachineRecord& record) {
    record.vm.set_state(start ? VirtualMachine::STATE_RUNNING : VirtualMachine::STATE_STOPPED);
    (void)job.shop.images.Pin(package.sha256(), false);
  };
  plan.on_failure = [](MachineRecord& record) {
    record.vm.set_state(VirtualMachine::STATE_STOPPED);
  };
  plan.fate_on_failure = [&job] { return IsMade(job) ? Plan::Fate::kKeep : Plan::Fate::kRemove; };
  return plan;
}

}  // namespace virmo::vm_controller
