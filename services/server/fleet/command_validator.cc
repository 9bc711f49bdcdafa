// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/command_validator.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/server/fleet/fleet_names.h"
#include "services/server/images/media_type.h"
#include "services/syncml/codec.h"
#include "services/syncml/uri.h"

namespace virmo::server {
namespace {

constexpr size_t kMaxName = 63;
constexpr size_t kMaxReason = 255;
constexpr int kMaxUris = 50;
constexpr size_t kMaxValue = 16384;
constexpr int kMaxKnown = 10000;
constexpr size_t kShown = 10;
constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  if (name.size() <= kMaxName && syncml::IsXmlText(name) &&
      name.find_first_of("/\r\n\t") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return InvalidField(field, "a name has at most 63 octets, and no slash or line break");
}

absl::Status CheckLock(const v1::Action::Lock& lock) {
  if (lock.reason().size() > kMaxReason || !syncml::IsXmlText(lock.reason())) {
    return InvalidField("action.lock.reason", "the reason has at most 255 octets of plain text");
  }
  switch (lock.mode()) {
    case v1::Lock::MODE_UNSPECIFIED:
    case v1::Lock::MODE_ISOLATE:
    case v1::Lock::MODE_ISOLATE_AND_PAUSE:
    case v1::Lock::MODE_SUSPEND:
      return absl::OkStatus();
    default:
      return InvalidField("action.lock.mode", "unknown lock mode");
  }
}

absl::StatusOr<syncml::NodeUri> CheckUri(absl::string_view field, const std::string& uri) {
  auto parsed = syncml::ParseNodeUri(uri, {.max_depth = 32, .max_total_length = 512});
  if (parsed.ok()) return parsed;
  return InvalidField(field, absl::StrCat("\"", uri.substr(0, 200),
                                          "\" is no node's URI: ", parsed.status().message()));
}

absl::Status CheckGet(const v1::Action::Get& get) {
  if (get.uris().empty() || get.uris_size() > kMaxUris) {
    return InvalidField("action.get.uris", "Get reads 1 to 50 nodes");
  }
  for (const std::string& uri : get.uris()) {
    RETURN_IF_ERROR(CheckUri("action.get.uris", uri).status());
  }
  return absl::OkStatus();
}

absl::Status CheckValue(const std::string& format, const std::string& value) {
  int32_t number = 0;
  if (format == "int" && !absl::SimpleAtoi(value, &number)) {
    return InvalidField("action.replace.value",
                        absl::StrCat("\"", value.substr(0, 50), "\" is no 32-bit number"));
  }
  if (format == "bool" && value != "true" && value != "false") {
    return InvalidField("action.replace.value", "a bool is `true` or `false`");
  }
  if (value.size() > kMaxValue || !syncml::IsXmlText(value)) {
    return InvalidField("action.replace.value", "a value has at most 16384 octets of plain text");
  }
  return absl::OkStatus();
}

absl::Status CheckReplace(const v1::Action::Replace& replace) {
  ASSIGN_OR_RETURN(const syncml::NodeUri uri, CheckUri("action.replace.uri", replace.uri()));
  if (uri.is_root() || uri.query == syncml::NodeUri::Query::kList) {
    return InvalidField("action.replace.uri", "Replace writes a leaf or a property");
  }
  const std::string& format = replace.format();
  for (const char* known : {"", "chr", "int", "bool", "b64", "xml"}) {
    if (format == known) return CheckValue(format, replace.value());
  }
  return InvalidField("action.replace.format",
                      absl::StrCat("format \"", format, "\" is none of chr, int, bool, b64, xml"));
}

absl::Status CheckSizes(const v1::Action::Provision& provision) {
  if (provision.memory_mib() < 0 || provision.memory_mib() > kMaxInt) {
    return InvalidField("action.provision.memory_mib",
                        "memory_mib must be 0 (the device's default) to 2147483647");
  }
  if (provision.cpu_count() < 0 || provision.cpu_count() > 4096) {
    return InvalidField("action.provision.cpu_count",
                        "cpu_count must be 0 (the device's default) to 4096");
  }
  return absl::OkStatus();
}

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
    if (!listed) known.push_back({id, ProvisionedName(command.resource)});
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
  const std::string& uri = provision.uri();
  if (!absl::StartsWith(uri, "http://") && !absl::StartsWith(uri, "https://")) {
    return InvalidField("action.provision.uri",
                        "an image, or an http(s) URI of the package, is missing");
  }
  if (uri.size() > 2048 || uri.find_first_of(" \t\r\n") != std::string::npos) {
    return InvalidField("action.provision.uri", "the URI is too long or has white space");
  }
  if (!IsPackageType(provision.media_type())) {
    return InvalidField("action.provision.media_type",
                        absl::StrCat("media_type is none of ", PackageTypes()));
  }
  if (IsSha256(provision.sha256())) return absl::OkStatus();
  return InvalidField("action.provision.sha256", "sha256 must be 64 lower-case hex digits");
}

absl::StatusOr<std::string> CommandValidator::CheckProvision(
    const std::string& device, const v1::Action::Provision& provision) {
  RETURN_IF_ERROR(CheckName("action.provision.display_name", provision.display_name()));
  RETURN_IF_ERROR(CheckSizes(provision));
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

absl::StatusOr<std::string> CommandValidator::Check(const std::string& device,
                                                    const v1::Action& action) {
  RETURN_IF_ERROR(devices_.Get(device).status());
  switch (action.action_case()) {
    case v1::Action::ACTION_NOT_SET:
      return InvalidField("action", "the action is missing");
    case v1::Action::kGet:
      RETURN_IF_ERROR(CheckGet(action.get()));
      return std::string();
    case v1::Action::kReplace:
      RETURN_IF_ERROR(CheckReplace(action.replace()));
      return std::string();
    case v1::Action::kProvision:
      return CheckProvision(device, action.provision());
    case v1::Action::kLock:
      RETURN_IF_ERROR(CheckLock(action.lock()));
      break;
    case v1::Action::kClone:
      RETURN_IF_ERROR(CheckName("action.clone.display_name", action.clone().display_name()));
      break;
    default:
      break;
  }
  return Resolve(device, action.virtual_machine());
}

}  // namespace virmo::server
