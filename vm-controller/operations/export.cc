// SPDX-License-Identifier: Apache-2.0
// Export: a stopped virtual machine as an OVF package (DSP0243), one archive.
//
// Made in `.{operation}` of the export folder, then linked to its name, which never overwrites: a
// repeat after a crash finds its own file there and is done.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/ovf/archive_writer.h"
#include "services/ovf/writer.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "virmo/v1/package_service.pb.h"
#include "vm-controller/allocation.h"
#include "vm-controller/image/digest.h"
#include "vm-controller/image/qemu_img.h"
#include "vm-controller/image/unpack.h"
#include "vm-controller/operation_plan.h"
#include "vm-controller/operations/disk_room.h"
#include "vm-controller/operations/export.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

// Converting the disks is the first part of the work, packing them the rest.
constexpr int kConvertPercent = 70;

void RemoveAll(const std::string& path) {
  std::error_code ignored;
  std::filesystem::remove_all(path, ignored);
}

struct Export {
  std::string folder;     // Where exports go.
  std::string temporary;  // Where this one is made.
  std::string target;     // Where it will be.
  std::string stem;       // The name of it and of what is in it, without extension.
};

absl::StatusOr<MachineRecord> RecordOf(const Job& job) {
  return job.shop.machines.store().Get(job.vm_id);
}

absl::StatusOr<Export> ExportOf(const Job& job, const v1::ExportVirtualMachineRequest& request) {
  ASSIGN_OR_RETURN(const MachineRecord record, RecordOf(job));
  Export result;
  result.folder = ExportDirectory(job.shop.config);
  result.temporary = absl::StrCat(result.folder, "/.", job.id);
  const std::string name = ExportName(request, record.vm);
  result.target = absl::StrCat(result.folder, "/", name);
  result.stem = name.substr(0, name.size() - 4);
  return result;
}

std::string PathOf(const Job& job, const VirtualMachine::Disk& disk) {
  return disk.target() == "vda" ? job.shop.files.Disk(job.vm_id)
                                : job.shop.files.DiskNamed(job.vm_id, disk.target());
}

// What the virtual machine brought with it from its own package; empty if it had none.
ovf::Descriptor OriginOf(const Job& job) {
  const absl::StatusOr<std::string> text = ReadFile(job.shop.files.Descriptor(job.vm_id));
  if (!text.ok()) return {};
  ovf::Findings findings;
  ovf::Descriptor origin = ovf::ReadDescriptor(*text, {}, findings);
  return findings.ok() ? origin : ovf::Descriptor();
}

void AddNics(const VirtualMachine& vm, ovf::Descriptor& descriptor, ovf::VirtualSystem& system) {
  const std::vector<ovf::Nic> before = std::move(system.nics);
  const std::vector<ovf::Network> networks = std::move(descriptor.networks);
  system.nics.clear();
  descriptor.networks.clear();
  for (int i = 0; i < vm.network_interfaces_size(); ++i) {
    const VirtualMachine::NetworkInterface& nic = vm.network_interfaces(i);
    ovf::Nic written;
    if (static_cast<size_t>(i) < before.size()) written = before[static_cast<size_t>(i)];
    written.network = nic.network().empty() ? nic.source() : nic.network();
    written.mac_address = nic.mac_address();
    system.nics.push_back(written);
    const auto same = [&](const ovf::Network& network) { return network.name == written.network; };
    if (std::any_of(descriptor.networks.begin(), descriptor.networks.end(), same)) continue;
    const auto known = std::find_if(networks.begin(), networks.end(), same);
    ovf::Network network;
    if (known != networks.end()) network = *known;
    network.name = written.network;
    if (network.description.empty()) network.description = written.network;
    descriptor.networks.push_back(std::move(network));
  }
}

ovf::Descriptor Describe(const Job& job, const VirtualMachine& vm) {
  ovf::Descriptor descriptor = OriginOf(job);
  ovf::VirtualSystem system;
  if (!descriptor.systems.empty()) system = descriptor.systems.front();
  system.id = vm.display_name();
  system.name = vm.display_name();
  system.cpus = static_cast<int>(QuantityOf(vm.allocations(), v1::RESOURCE_KIND_PROCESSOR));
  system.memory_mib = QuantityOf(vm.allocations(), v1::RESOURCE_KIND_MEMORY);
  system.annotation = vm.description();
  system.efi = vm.firmware().kind() == VirtualMachine::Firmware::KIND_UEFI ||
               vm.firmware().kind() == VirtualMachine::Firmware::KIND_UEFI_SECURE;
  system.secure_boot = vm.firmware().kind() == VirtualMachine::Firmware::KIND_UEFI_SECURE;
  system.drives.clear();
  AddNics(vm, descriptor, system);
  descriptor.files.clear();
  descriptor.disks.clear();
  descriptor.systems = {std::move(system)};
  return descriptor;
}

// Converts every disk, and says of each what the descriptor needs.
absl::Status Convert(const Job& job, const Export& place, const VirtualMachine& vm,
                     ovf::Descriptor& descriptor) {
  for (int i = 0; i < vm.disks_size(); ++i) {
    const std::string number = absl::StrCat(i + 1);
    const std::string name = absl::StrCat(place.stem, "-disk", number, ".vmdk");
    const std::string path = absl::StrCat(place.temporary, "/", name);
    const std::string source = PathOf(job, vm.disks(i));
    RETURN_IF_ERROR(ExportDisk(source, path, job.is_cancelled));
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) {
      return Error(ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot find ", path));
    }
    ovf::Disk disk;
    disk.id = absl::StrCat("vmdisk", number);
    disk.file_id = absl::StrCat("file", number);
    ASSIGN_OR_RETURN(disk.capacity_bytes, DiskSize(source));
    ovf::FileReference file;
    file.id = disk.file_id;
    file.href = name;
    file.size = info.st_size;
    ovf::Drive drive;
    drive.disk_id = disk.id;
    descriptor.systems.front().drives.push_back(drive);
    descriptor.disks.push_back(std::move(disk));
    descriptor.files.push_back(std::move(file));
    job.shop.journal.SetProgress(job.id, (i + 1) * kConvertPercent / vm.disks_size(), 0, 0);
  }
  return absl::OkStatus();
}

// Descriptor, manifest, disks: in this order (DSP0243 §5.3).
absl::Status Pack(const Job& job, const Export& place, const ovf::Descriptor& descriptor,
                  const std::string& archive) {
  const std::string text = ovf::WriteDescriptor(descriptor);
  const std::string descriptor_name = place.stem + ".ovf";
  const std::string descriptor_path = absl::StrCat(place.temporary, "/", descriptor_name);
  RETURN_IF_ERROR(WriteFileAtomically(descriptor_path, text, 0600));
  std::vector<ovf::FileDigest> digests;
  ASSIGN_OR_RETURN(std::string digest, FileSha256(descriptor_path));
  digests.push_back({descriptor_name, digest});
  for (const ovf::FileReference& file : descriptor.files) {
    ASSIGN_OR_RETURN(digest, FileSha256(absl::StrCat(place.temporary, "/", file.href)));
    digests.push_back({file.href, digest});
  }
  ovf::ArchiveWriter writer(archive, job.is_cancelled);
  RETURN_IF_ERROR(writer.AddText(descriptor_name, text));
  RETURN_IF_ERROR(writer.AddText(place.stem + ".mf", ovf::WriteManifest(digests)));
  for (const ovf::FileReference& file : descriptor.files) {
    const std::string path = absl::StrCat(place.temporary, "/", file.href);
    RETURN_IF_ERROR(writer.AddFile(file.href, path));
    unlink(path.c_str());
  }
  return writer.Finish();
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat first = {}, second = {};
  return stat(a.c_str(), &first) == 0 && stat(b.c_str(), &second) == 0 &&
         first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

absl::Status MakeArchive(const Job& job, const Export& place, const std::string& archive) {
  if (access(archive.c_str(), F_OK) == 0) return absl::OkStatus();
  RemoveAll(place.temporary);
  RETURN_IF_ERROR(MakeDirectory(place.temporary, 0700));
  ASSIGN_OR_RETURN(const MachineRecord record, RecordOf(job));
  int64_t needed = 0;
  for (const VirtualMachine::Disk& disk : record.vm.disks()) {
    struct stat info = {};
    if (stat(PathOf(job, disk).c_str(), &info) == 0) needed += 2 * 512 * info.st_blocks;
  }
  RETURN_IF_ERROR(CheckDiskRoom(job.shop, needed));
  ovf::Descriptor descriptor = Describe(job, record.vm);
  RETURN_IF_ERROR(Convert(job, place, record.vm, descriptor));
  const std::string unfinished = archive + ".tmp";
  RETURN_IF_ERROR(Pack(job, place, descriptor, unfinished));
  if (std::rename(unfinished.c_str(), archive.c_str()) != 0) {
    return Error(ErrorInfo::REASON_STORAGE_FAILED, absl::StrCat("cannot rename to ", archive));
  }
  return SyncDirectory(place.temporary);
}

absl::Status Write(const Job& job, const v1::ExportVirtualMachineRequest& request,
                   v1::ExportedPackage& result) {
  ASSIGN_OR_RETURN(const Export place, ExportOf(job, request));
  RETURN_IF_ERROR(MakeDirectory(place.folder, 0700));
  const std::string archive = place.temporary + "/package";
  RETURN_IF_ERROR(MakeArchive(job, place, archive));
  ASSIGN_OR_RETURN(const std::string sha256, FileSha256(archive));
  if (link(archive.c_str(), place.target.c_str()) != 0 && !IsSameFile(archive, place.target)) {
    return Error(
        errno == EEXIST ? ErrorInfo::REASON_ALREADY_EXISTS : ErrorInfo::REASON_STORAGE_FAILED,
        absl::StrCat("cannot make ", place.target, ": ", std::strerror(errno)),
        {{"file", place.target}});
  }
  RETURN_IF_ERROR(SyncDirectory(place.folder));
  struct stat info = {};
  stat(place.target.c_str(), &info);
  result.set_path(place.target);
  result.set_sha256(sha256);
  result.set_size_bytes(info.st_size);
  return absl::OkStatus();
}

}  // namespace

std::string ExportDirectory(const config::v1::VmControllerConfig& config) {
  return config.export_directory().empty() ? absl::StrCat(config.state_directory(), "/exports")
                                           : config.export_directory();
}

std::string ExportName(const v1::ExportVirtualMachineRequest& request, const VirtualMachine& vm) {
  if (!request.file_name().empty()) return request.file_name();
  std::string name;
  for (const char c : vm.display_name()) {
    name += absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' ? c : '-';
  }
  if (name.empty() || name.front() == '.') name.insert(0, "vm-");
  return absl::StrCat(name, "-", vm.name().substr(vm.name().rfind('/') + 1, 8), ".ova");
}

absl::StatusOr<Plan> MakeExportPlan(Job& job) {
  v1::ExportVirtualMachineRequest request;
  if (!job.entry.request.UnpackTo(&request)) {
    return Error(ErrorInfo::REASON_STORAGE_FAILED, "the recorded request is damaged");
  }
  const auto result = std::make_shared<v1::ExportedPackage>();
  const std::string temporary = absl::StrCat(ExportDirectory(job.shop.config), "/.", job.id);
  Plan plan;
  plan.response = result;
  plan.steps = {{"admit", [&job] { return Admit(job, v1::OPERATION_KIND_EXPORT); }},
                {"write", [&job, request, result] { return Write(job, request, *result); }}};
  plan.roll_back = [temporary] {
    RemoveAll(temporary);
    return absl::OkStatus();
  };
  // Only once its end is recorded: a repeat needs it.
  plan.after_end = [temporary] { RemoveAll(temporary); };
  return plan;
}

}  // namespace virmo::vm_controller
