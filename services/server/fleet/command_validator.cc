// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/command_validator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/server/fleet/action_rules.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/images/media_type.h"

namespace virmo::server {
namespace {

constexpr int kMaxKnown = 10000;
constexpr size_t kShown = 10;

}  // namespace

absl::StatusOr<std::vector<CommandValidator::Candidate>> CommandValidator::Read(
    const std::string& device) {
  std::vector<Candidate> known;
  ASSIGN_OR_RETURN(const auto vms, inventory_.All(device));
  for (const auto& vm : vms) known.push_back({VirtualMachineIdOf(vm), vm.display_name()});
  return known;
}

// What is being made can be named in the next command already.
absl::Status CommandValidator::AddPending(const std::string& device,
                                          std::vector<Candidate>& known) {
  ASSIGN_OR_RETURN(auto commands, queue_.Unfinished(device, kMaxKnown));
  ASSIGN_OR_RETURN(auto made, queue_.AwaitingRead(device));
  commands.insert(commands.end(), made.begin(), made.end());
  for (const QueuedCommand& command : commands) {
    if (!command.resource.action().has_provision()) continue;
    const std::string& id = command.resource.virtual_machine_id();
    const bool listed =
        std::any_of(known.begin(), known.end(), [&](const Candidate& one) { return one.id == id; });
    if (!listed) known.push_back({id, ProvisionedName(command.resource.action().provision(), id)});
  }
  return absl::OkStatus();
}

std::vector<std::string> CommandValidator::Matching(const std::vector<Candidate>& known,
                                                    const std::string& wanted) {
  std::vector<std::string> ids;
  for (const Candidate& one : known) {
    if (one.id == wanted) return {one.id};
    if (one.name == wanted) ids.push_back(one.id);
  }
  return ids;
}

std::string CommandValidator::Describe(const std::vector<Candidate>& known) {
  std::vector<std::string> shown;
  for (const Candidate& one : known) {
    if (shown.size() == kShown) return absl::StrCat(absl::StrJoin(shown, ", "), ", ...");
    shown.push_back(absl::StrCat(one.name, " (", one.id, ")"));
  }
  return absl::StrJoin(shown, ", ");
}

absl::StatusOr<std::string> CommandValidator::Resolve(const std::string& device,
                                                      const std::string& wanted) {
  if (wanted.empty()) {
    return InvalidField("action.virtual_machine", "virtual_machine is missing: its id or name");
  }
  ASSIGN_OR_RETURN(auto known, Read(device));
  std::vector<std::string> named = Matching(known, wanted);
  if (named.empty()) {
    RETURN_IF_ERROR(AddPending(device, known));
    named = Matching(known, wanted);
  }
  if (named.size() == 1) return named[0];
  if (named.size() > 1) {
    return Error(v1::ErrorInfo::REASON_INVALID_ARGUMENT,
                 absl::StrCat("several virtual machines are called \"", wanted,
                              "\", name one by its id: ", absl::StrJoin(named, ", ")));
  }
  ASSIGN_OR_RETURN(const DeviceRecord record, devices_.GetRecord(device));
  // Nothing was ever read from the device: take an id on trust, it will answer itself.
  if (record.inventory_time == absl::UnixEpoch() && IsUuid(wanted)) return wanted;
  return Error(v1::ErrorInfo::REASON_VM_NOT_FOUND,
               absl::StrCat("device ", device, " has no virtual machine \"", wanted, "\"; it has ",
                            known.empty() ? "none" : Describe(known)),
               {{"device", DeviceName(device)}, {"virtual_machine", wanted}});
}

absl::Status CommandValidator::CheckPackage(const v1::Action::Provision& provision) {
  if (!provision.image().empty()) {
    if (!provision.uri().empty() || !provision.sha256().empty() ||
        !provision.media_type().empty()) {
      return InvalidField("action.provision.uri",
                          "give an image, or uri, media_type and sha256; not both");
    }
    ASSIGN_OR_RETURN(const std::string id, ImageId(provision.image(), "action.provision.image"));
    return images_.Get(id).status();
  }
  RETURN_IF_ERROR(CheckDownload("action.provision", provision.uri(), provision.sha256()));
  if (IsPackageType(provision.media_type())) return absl::OkStatus();
  return InvalidField("action.provision.media_type",
                      absl::StrCat("media_type is none of ", PackageTypes()));
}

absl::StatusOr<std::string> CommandValidator::CheckProvision(
    const std::string& device, const v1::Action::Provision& provision) {
  RETURN_IF_ERROR(CheckPackage(provision));
  const std::string& id = provision.virtual_machine_id();
  if (!id.empty() && !IsUuid(id)) {
    return InvalidField("action.provision.virtual_machine_id", "the id is no lower-case UUID");
  }
  ASSIGN_OR_RETURN(auto known, Read(device));
  RETURN_IF_ERROR(AddPending(device, known));
  for (const Candidate& one : known) {
    if (one.id != id && one.name != provision.display_name()) continue;
    return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                 absl::StrCat("device ", device, " has a virtual machine \"", one.name, "\" (",
                              one.id, ") already; choose another name or id"),
                 {{"virtual_machine", one.id}});
  }
  return id.empty() ? NewUuid() : id;
}

absl::Status CommandValidator::CheckFirmware(const v1::Action::UpdateFirmware& update) {
  if (update.image().empty()) {
    return CheckDownload("action.update_firmware", update.uri(), update.sha256());
  }
  if (!update.uri().empty() || !update.sha256().empty()) {
    return InvalidField("action.update_firmware.uri", "give an image, or uri and sha256; not both");
  }
  ASSIGN_OR_RETURN(const std::string id, ImageId(update.image(), "action.update_firmware.image"));
  return images_.Get(id).status();
}

absl::Status CommandValidator::CheckOthers(const std::string& device, const std::string& vm,
                                           v1::Action& action) {
  if (action.has_update_firmware()) return CheckFirmware(action.update_firmware());
  std::string* other = action.has_transfer() ? action.mutable_transfer()->mutable_to() : nullptr;
  if (action.has_set_sharing() && action.set_sharing().peer() != "*") {
    other = action.mutable_set_sharing()->mutable_peer();
  }
  if (other == nullptr) return absl::OkStatus();
  ASSIGN_OR_RETURN(*other, Resolve(device, *other));
  if (*other != vm) return absl::OkStatus();
  return InvalidField(action.has_transfer() ? "action.transfer.to" : "action.set_sharing.peer",
                      "both ends are the same virtual machine");
}

absl::StatusOr<std::string> CommandValidator::Check(const std::string& device, v1::Action& action) {
  RETURN_IF_ERROR(devices_.Get(device).status());
  TrimUris(action);
  RETURN_IF_ERROR(CheckFields(action));
  if (action.has_get() || action.has_replace() || action.has_tree()) return std::string();
  if (action.has_provision()) return CheckProvision(device, action.provision());
  ASSIGN_OR_RETURN(const std::string vm, Resolve(device, action.virtual_machine()));
  RETURN_IF_ERROR(CheckOthers(device, vm, action));
  return vm;
}

}  // namespace virmo::server
