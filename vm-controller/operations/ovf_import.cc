// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/operations/ovf_import.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/ovf/descriptor.h"
#include "services/ovf/environment.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/virtual_machine_service.pb.h"
#include "vm-controller/allocation.h"
#include "vm-controller/image/iso_image.h"
#include "vm-controller/image/unpack.h"
#include "vm-controller/operations/disk_room.h"
#include "vm-controller/operations/launch.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;
using Properties = std::map<std::string, std::string>;

constexpr int64_t kMib = 1 << 20;
constexpr size_t kMaxDisks = 16;
constexpr size_t kMaxCds = 2;
constexpr char kEnvironmentTarget[] = "sdc";

// A package as one request sees it.
struct Import {
  std::string folder;
  ovf::Descriptor descriptor;
  Properties properties;
  const ovf::VirtualSystem& system() const { return descriptor.systems.front(); }
};

Properties PropertiesOf(const v1::Package& package) {
  return {package.properties().begin(), package.properties().end()};
}

absl::StatusOr<Import> Open(const Job& job, const v1::Package& package) {
  ASSIGN_OR_RETURN(const auto image, job.shop.images.Find(package.sha256()));
  if (!image) return Error(ErrorInfo::REASON_PROVISION_FAILED, "the package has vanished");
  Import import;
  import.folder = image->path;
  import.properties = PropertiesOf(package);
  ASSIGN_OR_RETURN(import.descriptor,
                   ReadKeptDescriptor(image->path, package.deployment_option(), import.properties));
  return import;
}

bool OffersIso(const ovf::VirtualSystem& system) {
  return std::find(system.transports.begin(), system.transports.end(), "iso") !=
         system.transports.end();
}

absl::Status CheckInputs(const Import& import, const v1::Package& package) {
  if (import.descriptor.systems.size() != 1) {
    return Error(ErrorInfo::REASON_NOT_SUPPORTED,
                 absl::StrCat("the package is a collection of ", import.descriptor.systems.size(),
                              " virtual machines, which this controller does not make"));
  }
  if (!import.descriptor.eulas.empty() && !package.accept_eulas()) {
    return Error(ErrorInfo::REASON_EULA_NOT_ACCEPTED,
                 "the package has a licence agreement that was not accepted",
                 {{"eula", import.descriptor.eulas.front().text.substr(0, 4096)}});
  }
  const std::vector<std::string> unknown =
      ovf::UnknownProperties(import.descriptor, import.properties);
  if (!unknown.empty()) {
    return InvalidField("package.properties",
                        absl::StrCat("the package has no property ", absl::StrJoin(unknown, ", ")));
  }
  RETURN_IF_ERROR(
      ovf::ResolveProperties(import.descriptor, import.system(), import.properties).status());
  if (!import.properties.empty() && !OffersIso(import.system())) {
    return Error(ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT,
                 "properties were given, but the package reads them by no transport that is known"
                 " here (iso)");
  }
  for (const ovf::Drive& drive : import.system().drives) {
    const ovf::Disk* disk = import.descriptor.FindDisk(drive.disk_id);
    if (disk != nullptr && disk->shared && !disk->read_only) {
      return Error(ErrorInfo::REASON_NOT_SUPPORTED,
                   absl::StrCat("the disk ", disk->id, " is shared between virtual machines"));
    }
  }
  return absl::OkStatus();
}

std::vector<ovf::Drive> DrivesOf(const Import& import, ovf::DriveKind kind) {
  std::vector<ovf::Drive> drives;
  for (const ovf::Drive& drive : import.system().drives) {
    if (drive.kind == kind) drives.push_back(drive);
  }
  return drives;
}

std::string Target(const char* stem, size_t index) {
  return absl::StrCat(stem, std::string(1, static_cast<char>('a' + index)));
}

void SetInterfaces(const Job& job, const Import& import, VirtualMachine& vm) {
  vm.clear_network_interfaces();
  const auto& networks = job.shop.config.networks();
  for (size_t i = 0; i < import.system().nics.size() && !networks.empty(); ++i) {
    const std::string& name = import.system().nics[i].network;
    // The host's network of the same name, else its networks in their order.
    int chosen = std::min(static_cast<int>(i), networks.size() - 1);
    for (int at = 0; at < networks.size(); ++at) {
      if (networks[at].source() == absl::StrCat("network:", name) ||
          networks[at].source() == absl::StrCat("bridge:", name)) {
        chosen = at;
      }
    }
    VirtualMachine::NetworkInterface* nic = vm.add_network_interfaces();
    const std::string hex = NameUuid(job.vm_id, absl::StrCat("mac address ", i));
    nic->set_mac_address(
        absl::StrCat("52:54:00:", hex.substr(0, 2), ":", hex.substr(2, 2), ":", hex.substr(4, 2)));
    nic->set_source(networks[chosen].source());
    nic->set_network(name);
  }
}

void SetDisks(const Import& import, const v1::Package& package, VirtualMachine& vm) {
  vm.clear_disks();
  const std::vector<ovf::Drive> drives = DrivesOf(import, ovf::DriveKind::kDisk);
  for (size_t i = 0; i < drives.size(); ++i) {
    VirtualMachine::Disk* disk = vm.add_disks();
    disk->set_target(Target("vd", i));
    disk->set_image_digest(absl::StrCat("sha256:", package.sha256()));
    const ovf::Disk* source = import.descriptor.FindDisk(drives[i].disk_id);
    if (source != nullptr) disk->set_capacity_mib((source->capacity_bytes + kMib - 1) / kMib);
  }
}

// What the request asks for, and of what it does not name what the package says.
Allocations AllocationsFor(const Import& import, const v1::CreateVirtualMachineRequest& request) {
  Allocations allocations = request.virtual_machine().allocations();
  if (QuantityOf(allocations, v1::RESOURCE_KIND_MEMORY) == 0) {
    SetQuantity(allocations, v1::RESOURCE_KIND_MEMORY, import.system().memory_mib);
  }
  if (QuantityOf(allocations, v1::RESOURCE_KIND_PROCESSOR) == 0) {
    SetQuantity(allocations, v1::RESOURCE_KIND_PROCESSOR, import.system().cpus);
  }
  return allocations;
}

void Describe(const Job& job, const Import& import, const v1::CreateVirtualMachineRequest& request,
              MachineRecord& record) {
  VirtualMachine& vm = record.vm;
  const ovf::VirtualSystem& system = import.system();
  *vm.mutable_allocations() = AllocationsFor(import, request);
  if (vm.description().empty()) vm.set_description(system.annotation.substr(0, 1024));
  if (vm.firmware().kind() == VirtualMachine::Firmware::KIND_UNSPECIFIED) {
    vm.mutable_firmware()->set_kind(system.secure_boot ? VirtualMachine::Firmware::KIND_UEFI_SECURE
                                    : system.efi       ? VirtualMachine::Firmware::KIND_UEFI
                                                       : VirtualMachine::Firmware::KIND_BIOS);
    if (system.tpm) vm.mutable_firmware()->set_tpm(true);
  }
  SetDisks(import, request.package(), vm);
  SetInterfaces(job, import, vm);
}

absl::Status MakeDisk(const Import& import, const ovf::Drive& drive, const std::string& path) {
  const ovf::Disk* disk = import.descriptor.FindDisk(drive.disk_id);
  const std::string temporary = path + ".tmp";
  if (access(path.c_str(), F_OK) == 0) return absl::OkStatus();
  unlink(temporary.c_str());
  if (disk == nullptr) {
    return Error(ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT,
                 "a disk that is a file of References without a Disk cannot be given");
  }
  if (disk->file_id.empty()) {
    RETURN_IF_ERROR(MakeEmptyDisk(disk->capacity_bytes, temporary));
  } else {
    RETURN_IF_ERROR(MakeOverlay(KeptDisk(import.folder, import.descriptor, disk->file_id),
                                ImageFormat::kQcow2, disk->capacity_bytes, temporary));
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return Error(ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot rename to ", path));
  }
  return absl::OkStatus();
}

// A CD of the package belongs to the virtual machine: it goes with it.
absl::Status PlaceCd(const Job& job, const Import& import, const ovf::Drive& drive,
                     const std::string& path) {
  const ovf::Disk* disk = import.descriptor.FindDisk(drive.disk_id);
  const std::string file_id = disk != nullptr ? disk->file_id : drive.file_id;
  if (file_id.empty() || access(path.c_str(), F_OK) == 0) return absl::OkStatus();
  std::error_code error;
  std::filesystem::create_hard_link(KeptFile(import.folder, import.descriptor, file_id), path,
                                    error);
  if (!error) return absl::OkStatus();
  return Error(ErrorInfo::REASON_STORAGE_FAILED,
               absl::StrCat("cannot make ", path, ": ", error.message()),
               {{"virtual_machine", job.vm_id}});
}

// The guest's properties on a CD of its own (DSP0243 §11.2).
absl::Status MakeEnvironment(const Import& import, const std::string& path) {
  const ovf::VirtualSystem& system = import.system();
  if (!OffersIso(system)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Properties properties,
                   ovf::ResolveProperties(import.descriptor, system, import.properties));
  std::map<std::string, std::string> files;
  files["ovf-env.xml"] = ovf::WriteEnvironment(
      {.id = system.id, .kind = "VirMO", .version = "1", .properties = properties});
  for (const ovf::EnvironmentFile& file : system.environment_files) {
    ASSIGN_OR_RETURN(files[file.path],
                     ReadFile(KeptFile(import.folder, import.descriptor, file.file_id)));
  }
  ASSIGN_OR_RETURN(const std::string image, MakeIsoImage("OVF ENV", files));
  // It may hold passwords.
  return WriteFileAtomically(path, image, 0600);
}

}  // namespace

absl::Status DescribeFromPackage(const Job& job, const v1::CreateVirtualMachineRequest& request) {
  ASSIGN_OR_RETURN(const Import import, Open(job, request.package()));
  RETURN_IF_ERROR(CheckInputs(import, request.package()));
  const size_t disks = DrivesOf(import, ovf::DriveKind::kDisk).size();
  if (disks == 0 || disks > kMaxDisks) {
    return Error(ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT,
                 absl::StrCat("the virtual machine has ", disks, " disks; 1 to ", kMaxDisks,
                              " can be given"));
  }
  // Asked before the record says it: what policy-engine decided before is not to overwrite it.
  const Allocations allocations = AllocationsFor(import, request);
  RETURN_IF_ERROR(
      Admit(job, v1::OPERATION_KIND_DOWNLOAD_PROVISION, {allocations.begin(), allocations.end()}));
  return job.shop.machines.Change(
      job.vm_id, [&](MachineRecord& record) { Describe(job, import, request, record); });
}

absl::Status MakePackageDisks(const Job& job, const v1::CreateVirtualMachineRequest& request) {
  ASSIGN_OR_RETURN(const Import import, Open(job, request.package()));
  RETURN_IF_ERROR(CheckDiskRoom(job.shop, 0));
  RETURN_IF_ERROR(MakeMachineDirectories(job.shop.files, job.vm_id));
  const std::vector<ovf::Drive> disks = DrivesOf(import, ovf::DriveKind::kDisk);
  for (size_t i = 0; i < disks.size(); ++i) {
    RETURN_IF_ERROR(
        MakeDisk(import, disks[i], job.shop.files.DiskNamed(job.vm_id, Target("vd", i))));
  }
  const std::vector<ovf::Drive> cds = DrivesOf(import, ovf::DriveKind::kCdrom);
  for (size_t i = 0; i < cds.size() && i < kMaxCds; ++i) {
    RETURN_IF_ERROR(PlaceCd(job, import, cds[i], job.shop.files.Cd(job.vm_id, Target("sd", i))));
  }
  RETURN_IF_ERROR(MakeEnvironment(import, job.shop.files.Cd(job.vm_id, kEnvironmentTarget)));
  // What it came with, for its export.
  ASSIGN_OR_RETURN(const std::string text, ReadFile(import.folder + "/descriptor.ovf"));
  RETURN_IF_ERROR(WriteFileAtomically(job.shop.files.Descriptor(job.vm_id), text, 0600));
  return SyncDirectory(job.shop.files.Directory(job.vm_id));
}

}  // namespace virmo::vm_controller
