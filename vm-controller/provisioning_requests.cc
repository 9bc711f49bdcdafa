// SPDX-License-Identifier: Apache-2.0
// The part of Requests that makes virtual machines.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/allocation.h"
#include "vm-controller/machine_validation.h"
#include "vm-controller/requests.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;
using v1::VirtualMachine;

// QEMU's own prefix, and three bytes that follow from the id.
std::string MacAddress(const std::string& vm_id, int index) {
  const std::string hex = NameUuid(vm_id, absl::StrCat("mac address ", index));
  return absl::StrCat("52:54:00:", hex.substr(0, 2), ":", hex.substr(2, 2), ":", hex.substr(4, 2));
}

void AddInterfaces(const config::v1::VmControllerConfig& config, const std::string& vm_id,
                   VirtualMachine& vm) {
  for (int i = 0; i < config.networks_size(); ++i) {
    VirtualMachine::NetworkInterface* nic = vm.add_network_interfaces();
    nic->set_mac_address(MacAddress(vm_id, i));
    nic->set_source(config.networks(i).source());
  }
}

// The first `bytes` of UTF-8 text, no character torn apart.
std::string Prefix(const std::string& text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

google::protobuf::Timestamp Now() { return google::protobuf::util::TimeUtil::GetCurrentTime(); }

}  // namespace

absl::Status Requests::CheckRoomForOneMore() {
  const int max = shop_.config.max_virtual_machines();
  ASSIGN_OR_RETURN(const std::vector<MachineRecord> records, shop_.machines.store().List());
  if (max == 0 || static_cast<int>(records.size()) < max) return absl::OkStatus();
  return Error(ErrorInfo::REASON_INSUFFICIENT_RESOURCES,
               absl::StrCat("there are ", max, " virtual machines, as many as are allowed"),
               {{"resource", "virtual_machines"}, {"maximum", absl::StrCat(max)}});
}

// What is asked for and cannot be given is refused, never left out in silence.
absl::Status Requests::CheckFeatures(const VirtualMachine& wanted) {
  using Firmware = VirtualMachine::Firmware;
  std::vector<std::string> needed;
  if (wanted.encrypted()) needed.emplace_back("Encrypted");
  if (wanted.firmware().tpm()) needed.emplace_back("TPM");
  if (wanted.firmware().kind() == Firmware::KIND_UEFI) needed.emplace_back("UEFI");
  if (wanted.firmware().kind() == Firmware::KIND_UEFI_SECURE) needed.emplace_back("SecureBoot");
  if (wanted.firmware().kind() == Firmware::KIND_DIRECT_KERNEL) needed.emplace_back("DirectKernel");
  if (needed.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const v1::Host host, shop_.hypervisor.GetHost());
  for (const std::string& one : needed) {
    const auto found =
        std::find_if(host.operations().begin(), host.operations().end(),
                     [&](const auto& support) { return support.operation() == one; });
    if (found != host.operations().end() && found->supported()) continue;
    return Error(ErrorInfo::REASON_NOT_SUPPORTED,
                 absl::StrCat("this host has no ", one, ": ",
                              found == host.operations().end() ? "unknown" : found->reason()),
                 {{"feature", one}});
  }
  return absl::OkStatus();
}

absl::Status Requests::CheckCreate(const v1::CreateVirtualMachineRequest& request) {
  RETURN_IF_ERROR(CheckNewMachine(request));
  RETURN_IF_ERROR(shop_.images.CheckPackage(request.package()));
  if (request.download_only()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckFeatures(request.virtual_machine()));
  RETURN_IF_ERROR(CheckRoomForOneMore());
  const std::string id = NewMachineId(request.virtual_machine_id(), request.request_id());
  RETURN_IF_ERROR(shop_.machines.store().CheckIdIsFree(id));
  if (request.virtual_machine().display_name().empty()) return absl::OkStatus();
  return shop_.machines.store().CheckNameIsFree(request.virtual_machine().display_name(), id);
}

absl::StatusOr<MachineRecord> Requests::MakeRecord(const v1::CreateVirtualMachineRequest& request) {
  MachineRecord record;
  record.id = NewMachineId(request.virtual_machine_id(), request.request_id());
  VirtualMachine& vm = record.vm;
  vm.set_name(VirtualMachineName(record.id));
  vm.set_display_name(request.virtual_machine().display_name().empty()
                          ? absl::StrCat("vm-", record.id.substr(0, 8))
                          : request.virtual_machine().display_name());
  vm.set_description(request.virtual_machine().description());
  vm.set_auto_start(request.virtual_machine().auto_start());
  if (request.virtual_machine().has_firmware()) {
    vm.mutable_firmware()->set_kind(request.virtual_machine().firmware().kind());
    vm.mutable_firmware()->set_tpm(request.virtual_machine().firmware().tpm());
  }
  *vm.mutable_allocations() = request.virtual_machine().allocations();
  AddDefaults(*vm.mutable_allocations());
  vm.set_role(VirtualMachine::ROLE_GUEST);
  vm.set_owner(request.initiator().server_id());
  vm.set_created_from(request.package().package_id());
  vm.set_state(VirtualMachine::STATE_PROVISIONING);
  vm.set_requested_state(request.start() ? VirtualMachine::STATE_RUNNING
                                         : VirtualMachine::STATE_STOPPED);
  vm.set_current_operation(OperationName(request.request_id()));
  VirtualMachine::Disk* disk = vm.add_disks();
  disk->set_target("vda");
  disk->set_image_digest(absl::StrCat("sha256:", request.package().sha256()));
  AddInterfaces(shop_.config, record.id, vm);
  *vm.mutable_create_time() = Now();
  return record;
}

absl::StatusOr<Requests::Operation> Requests::Create(
    const v1::CreateVirtualMachineRequest& request) {
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  ASSIGN_OR_RETURN(const std::optional<Operation> first,
                   shop_.journal.FindRequest(request.request_id(), request));
  if (first) return *first;
  RETURN_IF_ERROR(CheckCreate(request));
  ASSIGN_OR_RETURN(const MachineRecord record, MakeRecord(request));
  if (request.validate_only()) {
    Operation operation;
    operation.set_name(OperationName(request.request_id()));
    operation.set_done(true);
    operation.mutable_response()->PackFrom(record.vm);
    return operation;
  }
  if (request.download_only()) return Download(request);
  RETURN_IF_ERROR(CheckReachable());
  v1::AdmitRequest admit;
  *admit.mutable_allocations() = record.vm.allocations();
  const Change change = {v1::OPERATION_KIND_DOWNLOAD_PROVISION,
                         record.vm.name(),
                         request.request_id(),
                         request.initiator(),
                         false,
                         ""};
  return BeginNew(record, change, record.vm.name(), std::move(admit), request);
}

// Admits and records a virtual machine that is to be, with the operation that makes it.
absl::StatusOr<Requests::Operation> Requests::BeginNew(const MachineRecord& record,
                                                       const Change& change,
                                                       const std::string& target,
                                                       v1::AdmitRequest admit,
                                                       const google::protobuf::Message& request) {
  const auto hold = reporter_.Hold();
  admit.set_virtual_machine(record.vm.name());
  admit.set_operation(OperationName(change.request_id));
  admit.set_kind(change.kind);
  v1::OperationMetadata metadata;
  metadata.set_target(target);
  metadata.set_kind(change.kind);
  *metadata.mutable_initiator() = change.initiator;
  ASSIGN_OR_RETURN(const v1::AdmitResponse admitted, shop_.policy.Admit(admit));
  RETURN_IF_ERROR(database_.Transact([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::optional<Operation> first,
                     shop_.journal.FindRequest(change.request_id, request));
    if (first) return absl::OkStatus();
    RETURN_IF_ERROR(shop_.machines.store().CheckIdIsFree(record.id));
    RETURN_IF_ERROR(CheckRoomForOneMore());  // Others may have been faster.
    if (target != record.vm.name()) {        // A clone: its source is busy with it.
      ASSIGN_OR_RETURN(const std::string source_id, VirtualMachineId(target));
      ASSIGN_OR_RETURN(const MachineRecord source, shop_.machines.store().Get(source_id));
      RETURN_IF_ERROR(Check(change, source).status());
      RETURN_IF_ERROR(shop_.machines.Change(source_id, [&](MachineRecord& changed) {
        changed.stable_state = changed.vm.state();
        // One that runs is copied while it does.
        if (changed.stable_state == VirtualMachine::STATE_STOPPED) {
          changed.vm.set_state(VirtualMachine::STATE_CLONING);
        }
        changed.vm.set_current_operation(OperationName(change.request_id));
      }));
    }
    RETURN_IF_ERROR(shop_.machines.Add(record));
    RETURN_IF_ERROR(shop_.machines.store().PutPolicy(admitted.policy()));
    return shop_.journal.Insert(change.request_id, metadata, request);
  }));
  FaultPoint("operation.accepted");
  spdlog::info("accepted operation={} kind={} vm={}", OperationName(change.request_id),
               OperationWord(change.kind), record.vm.name());
  runner_.Enqueue(change.request_id, target);
  return shop_.journal.GetOperation(change.request_id);
}

absl::StatusOr<Requests::Operation> Requests::Download(
    const v1::CreateVirtualMachineRequest& request) {
  v1::OperationMetadata metadata;
  metadata.set_kind(v1::OPERATION_KIND_DOWNLOAD);
  *metadata.mutable_initiator() = request.initiator();
  if (!request.virtual_machine_id().empty()) {
    metadata.set_target(VirtualMachineName(request.virtual_machine_id()));
  }
  RETURN_IF_ERROR(shop_.journal.Insert(request.request_id(), std::move(metadata), request));
  runner_.Enqueue(request.request_id(), request.package().sha256());
  return shop_.journal.GetOperation(request.request_id());
}

absl::StatusOr<std::string> Requests::FreeCloneName(const std::string& source_name) {
  for (int i = 1; i < 10000; ++i) {
    const std::string name = absl::StrCat(Prefix(source_name, 48), " clone ", i);
    if (shop_.machines.store().CheckNameIsFree(name, "").ok()) return name;
  }
  return InvalidField("display_name", "too many clones; name this one");
}

absl::StatusOr<MachineRecord> Requests::MakeCopy(const v1::CloneVirtualMachineRequest& request,
                                                 const MachineRecord& source) {
  MachineRecord copy;
  copy.id = NewMachineId(request.virtual_machine_id(), request.request_id());
  copy.vm = source.vm;
  copy.vm.set_name(VirtualMachineName(copy.id));
  copy.vm.set_display_name(request.display_name());
  if (request.display_name().empty()) {
    ASSIGN_OR_RETURN(const std::string name, FreeCloneName(source.vm.display_name()));
    copy.vm.set_display_name(name);
  }
  copy.vm.set_auto_start(false);
  copy.vm.set_state(VirtualMachine::STATE_CLONING);
  copy.vm.set_requested_state(VirtualMachine::STATE_STOPPED);
  copy.vm.set_owner(request.initiator().server_id());
  copy.vm.set_created_from(absl::StrCat("clone:", source.id));
  copy.vm.set_current_operation(OperationName(request.request_id()));
  copy.vm.clear_last_operation();
  copy.vm.clear_network_interfaces();
  AddInterfaces(shop_.config, copy.id, copy.vm);
  copy.vm.clear_snapshot_count();
  copy.vm.clear_host_devices();
  copy.vm.clear_host_pid();
  copy.vm.clear_state_detail();
  copy.vm.set_paused(false);
  copy.vm.set_paused_by_lock(false);
  if (!request.linked()) {
    for (VirtualMachine::Disk& disk : *copy.vm.mutable_disks()) disk.clear_image_digest();
  }
  *copy.vm.mutable_create_time() = Now();
  return copy;
}

// What a linked clone and its source share is never written again. A disk that is in use is
// written, and one with snapshots has more than one state.
absl::Status Requests::CheckLinked(const v1::CloneVirtualMachineRequest& request,
                                   const MachineRecord& source) {
  if (!request.linked()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<v1::Snapshot> snapshots, shop_.snapshots.List(source.id));
  const char* obstacle = nullptr;
  if (source.vm.state() != VirtualMachine::STATE_STOPPED) obstacle = "while it runs; stop it";
  if (!snapshots.empty()) obstacle = "while it has snapshots; delete them";
  if (obstacle == nullptr) return absl::OkStatus();
  return Error(ErrorInfo::REASON_WRONG_STATE,
               absl::StrCat(source.vm.name(), " cannot be cloned linked ", obstacle,
                            ", or make a full clone"),
               {{"virtual_machine", source.vm.name()}});
}

absl::StatusOr<Requests::Operation> Requests::Clone(const v1::CloneVirtualMachineRequest& request) {
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  ASSIGN_OR_RETURN(const std::string source_id, VirtualMachineId(request.name()));
  ASSIGN_OR_RETURN(const std::optional<Operation> first,
                   shop_.journal.FindRequest(request.request_id(), request));
  if (first) return *first;
  if (!request.virtual_machine_id().empty() && !IsUuid(request.virtual_machine_id())) {
    return InvalidField("virtual_machine_id", "a lower-case UUID is needed");
  }
  if (!request.display_name().empty()) RETURN_IF_ERROR(CheckDisplayName(request.display_name()));
  const Change change = {v1::OPERATION_KIND_CLONE, request.name(), request.request_id(),
                         request.initiator(),      false,          ""};
  ASSIGN_OR_RETURN(const MachineRecord source, shop_.machines.store().Get(source_id));
  RETURN_IF_ERROR(Check(change, source).status());
  RETURN_IF_ERROR(CheckLinked(request, source));
  if (source.vm.disks_size() > 1) {
    return Error(ErrorInfo::REASON_NOT_SUPPORTED,
                 absl::StrCat(request.name(), " has several disks, which are not copied together"));
  }
  RETURN_IF_ERROR(CheckRoomForOneMore());
  ASSIGN_OR_RETURN(const MachineRecord copy, MakeCopy(request, source));
  RETURN_IF_ERROR(shop_.machines.store().CheckIdIsFree(copy.id));
  RETURN_IF_ERROR(shop_.machines.store().CheckNameIsFree(copy.vm.display_name(), copy.id));
  RETURN_IF_ERROR(CheckReachable());
  v1::AdmitRequest admit;
  admit.set_source(request.name());
  *admit.mutable_allocations() = copy.vm.allocations();
  return BeginNew(copy, change, request.name(), std::move(admit), request);
}

}  // namespace virmo::vm_controller
