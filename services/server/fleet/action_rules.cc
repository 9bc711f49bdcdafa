// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/action_rules.h"

#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/server/images/media_type.h"
#include "services/syncml/base64.h"
#include "services/syncml/codec.h"
#include "services/syncml/uri.h"

namespace virmo::server {
namespace {

using v1::Action;
using Operation = Action::Tree::Operation;

constexpr size_t kMaxName = 63;
constexpr size_t kMaxReason = 255;
constexpr size_t kMaxSecret = 255;
constexpr int kMaxUris = 50;
constexpr int kMaxOperations = 200;
constexpr int kMaxProperties = 200;
constexpr size_t kMaxValue = size_t{2} << 20;
constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();

absl::Status CheckText(absl::string_view field, absl::string_view text, size_t most) {
  if (text.size() <= most && syncml::IsXmlText(text)) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("has at most ", most, " octets of plain text"));
}

absl::Status CheckName(absl::string_view field, absl::string_view name) {
  if (name.size() <= kMaxName && syncml::IsXmlText(name) &&
      name.find_first_of("/\r\n\t") == absl::string_view::npos) {
    return absl::OkStatus();
  }
  return InvalidField(field, "a name has at most 63 octets, and no slash or line break");
}

absl::Status CheckRange(absl::string_view field, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value, " is not within ", least, " to ", most));
}

absl::Status CheckLock(const Action::Lock& lock) {
  RETURN_IF_ERROR(CheckText("action.lock.reason", lock.reason(), kMaxReason));
  if (lock.mode() == v1::Lock::MODE_UNSPECIFIED || v1::Lock::Mode_IsValid(lock.mode())) {
    return absl::OkStatus();
  }
  return InvalidField("action.lock.mode", "unknown lock mode");
}

absl::StatusOr<syncml::NodeUri> CheckUri(absl::string_view field, const std::string& uri) {
  auto parsed = syncml::ParseNodeUri(uri, {.max_depth = 32, .max_total_length = 512});
  if (parsed.ok()) return parsed;
  return InvalidField(field, absl::StrCat("\"", uri.substr(0, 200),
                                          "\" is no node's URI: ", parsed.status().message()));
}

absl::Status CheckGet(const Action::Get& get) {
  if (get.uris().empty() || get.uris_size() > kMaxUris) {
    return InvalidField("action.get.uris", "Get reads 1 to 50 nodes");
  }
  for (const std::string& uri : get.uris()) {
    RETURN_IF_ERROR(CheckUri("action.get.uris", uri).status());
  }
  return absl::OkStatus();
}

bool IsKnownFormat(const std::string& format) {
  for (const char* known :
       {"", "chr", "int", "bool", "b64", "bin", "xml", "date", "time", "float", "null"}) {
    if (format == known) return true;
  }
  return false;
}

absl::Status CheckValue(const std::string& path, const std::string& format,
                        const std::string& value) {
  const std::string field = path + ".value";
  if (!IsKnownFormat(format)) {
    return InvalidField(path + ".format",
                        absl::StrCat("format \"", format,
                                     "\" is none of chr, int, bool, b64, xml, date, time, float"));
  }
  int32_t number = 0;
  double real = 0;
  if (format == "int" && !absl::SimpleAtoi(value, &number)) {
    return InvalidField(field, absl::StrCat("\"", value.substr(0, 50), "\" is no 32-bit number"));
  }
  if (format == "float" && !absl::SimpleAtod(value, &real)) {
    return InvalidField(field, absl::StrCat("\"", value.substr(0, 50), "\" is no number"));
  }
  if (format == "bool" && value != "true" && value != "false") {
    return InvalidField(field, "a bool is `true` or `false`");
  }
  if (format == "b64" && !syncml::Base64Decode(value).ok()) {
    return InvalidField(field, "the value is not base64");
  }
  return CheckText(field, value, kMaxValue);
}

absl::Status CheckReplace(const Action::Replace& replace) {
  ASSIGN_OR_RETURN(const syncml::NodeUri uri, CheckUri("action.replace.uri", replace.uri()));
  if (uri.is_root() || uri.query == syncml::NodeUri::Query::kList) {
    return InvalidField("action.replace.uri", "Replace writes a leaf or a property");
  }
  return CheckValue("action.replace", replace.format(), replace.value());
}

absl::Status CheckProvision(const Action::Provision& provision) {
  RETURN_IF_ERROR(CheckName("action.provision.display_name", provision.display_name()));
  RETURN_IF_ERROR(CheckRange("action.provision.memory_mib", provision.memory_mib(), 0, kMaxInt));
  RETURN_IF_ERROR(CheckRange("action.provision.cpu_count", provision.cpu_count(), 0, 4096));
  RETURN_IF_ERROR(CheckName("action.provision.deployment_option", provision.deployment_option()));
  if (provision.properties_size() > kMaxProperties) {
    return InvalidField("action.provision.properties", "there are more than 200");
  }
  for (const auto& [key, value] : provision.properties()) {
    RETURN_IF_ERROR(CheckName("action.provision.properties", key));
    RETURN_IF_ERROR(CheckText("action.provision.properties", value, 4096));
    if (key.empty()) return InvalidField("action.provision.properties", "a key is empty");
  }
  return absl::OkStatus();
}

absl::Status CheckResources(const Action::SetResources& set) {
  if (set.ByteSizeLong() == 0) {
    return InvalidField("action.set_resources", "nothing is to be changed");
  }
  const std::string field = "action.set_resources.";
  if (set.has_memory_mib()) {
    RETURN_IF_ERROR(CheckRange(field + "memory_mib", set.memory_mib(), 1, kMaxInt));
  }
  if (set.has_cpu_count()) {
    RETURN_IF_ERROR(CheckRange(field + "cpu_count", set.cpu_count(), 1, 4096));
  }
  if (set.has_cpu_shares()) {
    RETURN_IF_ERROR(CheckRange(field + "cpu_shares", set.cpu_shares(), 1, 10000));
  }
  RETURN_IF_ERROR(CheckRange(field + "cpu_limit", set.cpu_limit(), 0, kMaxInt));
  RETURN_IF_ERROR(CheckRange(field + "network_in_kbps", set.network_in_kbps(), 0, kMaxInt));
  return CheckRange(field + "network_out_kbps", set.network_out_kbps(), 0, kMaxInt);
}

absl::Status CheckSharing(const Action::SetSharing& set) {
  if (set.peer().empty()) {
    return InvalidField("action.set_sharing.peer", "peer is missing: an id or name, or `*`");
  }
  if (set.channel() == v1::SharingRule::CHANNEL_UNSPECIFIED ||
      !v1::SharingRule::Channel_IsValid(set.channel())) {
    return InvalidField("action.set_sharing.channel", "the channel is missing or unknown");
  }
  if (set.direction() == v1::SharingRule::DIRECTION_UNSPECIFIED ||
      !v1::SharingRule::Direction_IsValid(set.direction())) {
    return InvalidField("action.set_sharing.direction", "the direction is missing or unknown");
  }
  return absl::OkStatus();
}

absl::Status CheckTransfer(const Action::Transfer& transfer) {
  if (transfer.to().empty()) {
    return InvalidField("action.transfer.to", "the receiver is missing: its id or name");
  }
  const v1::Transfer& amounts = transfer.amounts();
  int64_t all = 0;
  for (const int64_t amount :
       {amounts.memory_mib(), static_cast<int64_t>(amounts.cpu_count()), amounts.cpu_limit(),
        amounts.network_in_kbps(), amounts.network_out_kbps(), amounts.storage_mib()}) {
    RETURN_IF_ERROR(CheckRange("action.transfer.amounts", amount, 0, kMaxInt));
    all += amount;
  }
  if (all != 0) return absl::OkStatus();
  return InvalidField("action.transfer.amounts", "nothing is to be moved");
}

absl::Status CheckGrant(const Action::GrantUserUnlock& action) {
  const v1::UserUnlock& grant = action.grant();
  RETURN_IF_ERROR(CheckText("action.grant_user_unlock.secret", action.secret(), kMaxSecret));
  if (!grant.allowed()) {
    if (action.secret().empty()) return absl::OkStatus();
    return InvalidField("action.grant_user_unlock.secret", "there is no secret without a grant");
  }
  if (grant.method() != v1::UserUnlock::METHOD_NONE &&
      grant.method() != v1::UserUnlock::METHOD_SECRET) {
    return InvalidField("action.grant_user_unlock.grant.method",
                        "the method is missing: none, or secret");
  }
  if ((grant.method() == v1::UserUnlock::METHOD_SECRET) == action.secret().empty()) {
    return InvalidField("action.grant_user_unlock.secret",
                        "method secret needs one, and no other does");
  }
  RETURN_IF_ERROR(
      CheckRange("action.grant_user_unlock.grant.max_attempts", grant.max_attempts(), 0, 1000));
  return CheckRange("action.grant_user_unlock.grant.wipe_after", grant.wipe_after(), 0, 1000);
}

// Which properties and lists a verb may name (OMA DM TND 1.2 §7).
absl::Status CheckTarget(const std::string& path, const Operation& operation) {
  ASSIGN_OR_RETURN(const syncml::NodeUri uri, CheckUri(path + ".uri", operation.uri()));
  const auto verb = operation.verb();
  const bool list = uri.query == syncml::NodeUri::Query::kList;
  const bool prop = uri.query == syncml::NodeUri::Query::kProp;
  if (list && verb != Operation::VERB_GET) {
    return InvalidField(path + ".uri", "?list= goes with Get alone");
  }
  if (prop && verb != Operation::VERB_GET && verb != Operation::VERB_REPLACE) {
    return InvalidField(path + ".uri", "?prop= goes with Get and Replace alone");
  }
  if (uri.is_root() && verb != Operation::VERB_GET && !prop) {
    return InvalidField(path + ".uri", "the root can only be read");
  }
  if (verb == Operation::VERB_COPY) {
    return CheckUri(path + ".source_uri", operation.source_uri()).status();
  }
  if (operation.source_uri().empty()) return absl::OkStatus();
  return InvalidField(path + ".source_uri", "only Copy has a source");
}

absl::Status CheckOperation(const std::string& path, const Operation& operation, bool atomic) {
  const auto verb = operation.verb();
  if (verb == Operation::VERB_UNSPECIFIED || !Operation::Verb_IsValid(verb)) {
    return InvalidField(path + ".verb", "the verb is missing or unknown");
  }
  if (atomic && (verb == Operation::VERB_EXEC || verb == Operation::VERB_GET)) {
    return InvalidField(path + ".verb",
                        absl::StrCat(verb == Operation::VERB_EXEC ? "Exec" : "Get",
                                     " is not allowed in an Atomic: devices answer 405 or 500; "
                                     "use a Sequence"));
  }
  RETURN_IF_ERROR(CheckTarget(path, operation));
  const bool valueless =
      verb == Operation::VERB_GET || verb == Operation::VERB_DELETE || verb == Operation::VERB_COPY;
  if (valueless && !operation.value().empty()) {
    return InvalidField(path + ".value", "Get, Delete and Copy have no value");
  }
  RETURN_IF_ERROR(CheckText(path + ".type", operation.type(), 255));
  if (verb == Operation::VERB_ADD && operation.format() == "node") {
    return CheckText(path + ".value", operation.value(), kMaxValue);
  }
  // An Exec's argument may be anything; it has a format only if it has a value.
  if (valueless || (verb == Operation::VERB_EXEC && operation.value().empty())) {
    return absl::OkStatus();
  }
  return CheckValue(path, operation.format(), operation.value());
}

absl::Status CheckTree(const Action::Tree& tree) {
  if (tree.operations().empty() || tree.operations_size() > kMaxOperations) {
    return InvalidField("action.tree.operations", "there must be 1 to 200");
  }
  if (!Action::Tree::Mode_IsValid(tree.mode())) {
    return InvalidField("action.tree.mode", "the mode is unknown");
  }
  size_t size = 0;
  for (int i = 0; i < tree.operations_size(); ++i) {
    RETURN_IF_ERROR(CheckOperation(absl::StrCat("action.tree.operations[", i, "]"),
                                   tree.operations(i), tree.mode() == Action::Tree::MODE_ATOMIC));
    size += tree.operations(i).value().size();
  }
  if (size <= kMaxValue) return absl::OkStatus();
  return InvalidField("action.tree.operations", "all values together are larger than 2 MiB");
}

absl::Status CheckPeripheral(const Action::SetPeripheral& set) {
  if (set.peripheral_class() != v1::PERIPHERAL_CLASS_UNSPECIFIED &&
      v1::PeripheralClass_IsValid(set.peripheral_class())) {
    return absl::OkStatus();
  }
  return InvalidField("action.set_peripheral.peripheral_class", "the class is missing or unknown");
}

}  // namespace

absl::Status CheckFields(const Action& action) {
  switch (action.action_case()) {
    case Action::ACTION_NOT_SET:
      return InvalidField("action", "the action is missing");
    case Action::kGet:
      return CheckGet(action.get());
    case Action::kReplace:
      return CheckReplace(action.replace());
    case Action::kProvision:
      return CheckProvision(action.provision());
    case Action::kLock:
      return CheckLock(action.lock());
    case Action::kClone:
      return CheckName("action.clone.display_name", action.clone().display_name());
    case Action::kSetPeripheral:
      return CheckPeripheral(action.set_peripheral());
    case Action::kSetResources:
      return CheckResources(action.set_resources());
    case Action::kSetSharing:
      return CheckSharing(action.set_sharing());
    case Action::kTransfer:
      return CheckTransfer(action.transfer());
    case Action::kGrantUserUnlock:
      return CheckGrant(action.grant_user_unlock());
    case Action::kUpdateFirmware:
      return CheckText("action.update_firmware.version", action.update_firmware().version(), 255);
    case Action::kTree:
      return CheckTree(action.tree());
    default:
      return absl::OkStatus();
  }
}

absl::Status CheckDownload(absl::string_view field, const std::string& uri,
                           const std::string& sha256) {
  if (!absl::StartsWith(uri, "http://") && !absl::StartsWith(uri, "https://")) {
    return InvalidField(absl::StrCat(field, ".uri"),
                        "an image, or an http(s) URI of the package, is missing");
  }
  if (uri.size() > 2048 || uri.find_first_of(" \t\r\n") != std::string::npos) {
    return InvalidField(absl::StrCat(field, ".uri"), "the URI is too long or has white space");
  }
  if (IsSha256(sha256)) return absl::OkStatus();
  return InvalidField(absl::StrCat(field, ".sha256"), "sha256 must be 64 lower-case hex digits");
}

void TrimUris(Action& action) {
  const auto trim = [](std::string* uri) { absl::StripAsciiWhitespace(uri); };
  if (action.has_replace()) trim(action.mutable_replace()->mutable_uri());
  if (action.has_get()) {
    for (std::string& uri : *action.mutable_get()->mutable_uris()) trim(&uri);
  }
  if (!action.has_tree()) return;
  for (Operation& operation : *action.mutable_tree()->mutable_operations()) {
    trim(operation.mutable_uri());
    trim(operation.mutable_source_uri());
  }
}

}  // namespace virmo::server
