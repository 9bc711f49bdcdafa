// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/operations/launch.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/allocation.h"

namespace virmo::vm_controller {
namespace {

absl::Status Locked(const std::string& vm_id) {
  return Error(v1::ErrorInfo::REASON_VM_LOCKED,
               absl::StrCat(VirtualMachineName(vm_id), " is locked"),
               {{"virtual_machine", VirtualMachineName(vm_id)}});
}

std::string ModelOf(const config::v1::VmControllerConfig& config, int index) {
  return index < config.networks_size() ? config.networks(index).model() : "";
}

absl::Status Create(const Job& job, StartFrom from) {
  const absl::StatusOr<Domain> domain = job.shop.hypervisor.Get(job.vm_id);
  if (!domain.ok() && ReasonOf(domain.status()) != v1::ErrorInfo::REASON_VM_NOT_FOUND) {
    return domain.status();
  }
  const bool started = domain.ok() && IsStarted(*domain);
  if (!started) {
    if (from == StartFrom::kBoot) {
      // Defined anew: what was asked since counts, and what somebody changed does not.
      ASSIGN_OR_RETURN(const DomainSpec spec, SpecOf(job, job.vm_id));
      RETURN_IF_ERROR(job.shop.hypervisor.Define(spec));
    }
    RETURN_IF_ERROR(job.shop.hypervisor.StartPaused(job.vm_id, from));
  }
  job.shop.consoles.Attach(job.vm_id);
  return absl::OkStatus();
}

absl::Status AdmitAndRun(const Job& job, v1::OperationKind kind) {
  ASSIGN_OR_RETURN(const Domain domain, job.shop.hypervisor.Get(job.vm_id));
  // It was let run before a crash: the goal is reached, and a lock since is the enforcer's.
  if (domain.state == DomainState::kRunning) return absl::OkStatus();
  RETURN_IF_ERROR(Admit(job, kind));
  return LetRun(job);
}

// Processors that a guest can be given while it runs; it costs next to nothing.
constexpr int kCpuRoom = 4;

// How far an allocation may grow by its policy while the guest runs.
int64_t RoomFor(const Job& job, const std::string& vm_id, v1::ResourceKind kind) {
  const auto policy = job.shop.machines.store().GetPolicy(vm_id);
  if (!policy.ok() || !policy->has_value()) return 0;
  for (const v1::Allocation& allocation : (*policy)->allocations()) {
    if (allocation.kind() == kind) return allocation.maximum();
  }
  return 0;
}

}  // namespace

absl::Status OpenChannels(const Job& job) {
  ASSIGN_OR_RETURN(const auto policy, job.shop.machines.store().GetPolicy(job.vm_id));
  const Access access = IsLocked(policy) ? Access::kClosed : Access::kOpen;
  for (PolicyPart* part : job.shop.parts) RETURN_IF_ERROR(part->BeforeRun(job.vm_id));
  const AccessReport report = job.shop.hypervisor.SetAccess(job.vm_id, access);
  // A hypervisor that cannot close them has nothing to open; the enforcer reports it.
  for (const absl::Status& status : {report.network, report.agent}) {
    if (!status.ok() && ReasonOf(status) != v1::ErrorInfo::REASON_NOT_SUPPORTED) return status;
  }
  return absl::OkStatus();
}

bool IsStarted(const Domain& domain) {
  return domain.state == DomainState::kRunning || domain.state == DomainState::kPaused;
}

absl::StatusOr<DomainSpec> SpecOf(const Job& job, const std::string& vm_id) {
  ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(vm_id));
  DomainSpec spec;
  spec.id = vm_id;
  spec.title = record.vm.display_name();
  spec.memory_mib = QuantityOf(record.vm.allocations(), v1::RESOURCE_KIND_MEMORY);
  spec.cpu_count =
      static_cast<int>(QuantityOf(record.vm.allocations(), v1::RESOURCE_KIND_PROCESSOR));
  spec.memory_max_mib = RoomFor(job, vm_id, v1::RESOURCE_KIND_MEMORY);
  spec.cpu_max =
      std::max(kCpuRoom, static_cast<int>(RoomFor(job, vm_id, v1::RESOURCE_KIND_PROCESSOR)));
  spec.disk_path = job.shop.files.Disk(vm_id);
  spec.firmware = record.vm.firmware().kind();
  spec.tpm = record.vm.firmware().tpm();
  spec.console_socket = job.shop.files.ConsoleSocket(vm_id);
  for (int i = 1; i < record.vm.disks_size(); ++i) {
    const std::string& target = record.vm.disks(i).target();
    spec.drives.push_back({job.shop.files.DiskNamed(vm_id, target), target, false});
  }
  // What a package brings on CD: at most two, and its environment.
  for (const char* target : {"sda", "sdb", "sdc"}) {
    const std::string path = job.shop.files.Cd(vm_id, target);
    if (access(path.c_str(), F_OK) == 0) spec.drives.push_back({path, target, true});
  }
  if (record.vm.disks_size() > 0) spec.image_digest = record.vm.disks(0).image_digest();
  for (int i = 0; i < record.vm.network_interfaces_size(); ++i) {
    const v1::VirtualMachine::NetworkInterface& nic = record.vm.network_interfaces(i);
    spec.interfaces.push_back(
        {nic.mac_address(), nic.source(), ModelOf(job.shop.config, i), /*link_up=*/true});
  }
  return spec;
}

absl::Status MakeMachineDirectories(const MachineFiles& files, const std::string& vm_id) {
  // QEMU's user must pass through to the disk.
  RETURN_IF_ERROR(MakeDirectory(files.Directory(vm_id), 0711));
  return MakeDirectory(files.ConsoleDirectory(vm_id), 0700);
}

absl::Status Admit(const Job& job, v1::OperationKind kind,
                   const std::vector<v1::Allocation>& allocations) {
  v1::AdmitRequest request;
  request.set_virtual_machine(VirtualMachineName(job.vm_id));
  request.set_operation(OperationName(job.id));
  request.set_kind(kind);
  *request.mutable_allocations() = {allocations.begin(), allocations.end()};
  ASSIGN_OR_RETURN(const v1::AdmitResponse response, job.shop.policy.Admit(request));
  const absl::Status stored = job.shop.machines.store().PutPolicy(response.policy());
  // A newer one came by the stream meanwhile; that one counts.
  if (ReasonOf(stored) == v1::ErrorInfo::REASON_STALE_POLICY) return absl::OkStatus();
  return stored;
}

absl::Status LetRun(const Job& job) {
  const std::shared_ptr<Mutex> gate = job.shop.machines.GateOf(job.vm_id);
  MutexLock lock(*gate);
  ASSIGN_OR_RETURN(const auto policy, job.shop.machines.store().GetPolicy(job.vm_id));
  if (IsLocked(policy)) return Locked(job.vm_id);
  if (job.is_cancelled()) {
    return Error(v1::ErrorInfo::REASON_CANCELLED, "cancelled before it was let run");
  }
  ASSIGN_OR_RETURN(const MachineRecord record, job.shop.machines.store().Get(job.vm_id));
  if (record.vm.paused()) return absl::OkStatus();
  return job.shop.hypervisor.Run(job.vm_id);
}

std::vector<Step> LaunchSteps(Job& job, StartFrom from, v1::OperationKind kind) {
  return {{"create", [&job, from] { return Create(job, from); }},
          {"access", [&job] { return OpenChannels(job); }},
          {"run", [&job, kind] { return AdmitAndRun(job, kind); }}};
}

}  // namespace virmo::vm_controller
