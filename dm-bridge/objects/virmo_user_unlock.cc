// SPDX-License-Identifier: Apache-2.0
// `./VirMO/VMs/<x>/Lock/UserUnlock`, `Lock/KeyEscrow` and `Policy`: what the server grants to the
// local user (VirMO-HLF-16), the key that only it can open, and which policy holds.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/clock.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using Grant = v1::UserUnlock;
constexpr int kDefaultAttempts = 5;

// Nothing, without a record: no grant is in force then.
absl::StatusOr<v1::PolicyStatus> StatusOf(DeviceView& view, const Call& call) {
  ASSIGN_OR_RETURN(const DeviceView::Policy status, view.GetPolicy(call.names[0]));
  return status == nullptr ? v1::PolicyStatus() : *status;
}

NodeType GrantLeaf(DeviceView& view, const std::string& name, Format format,
                   std::function<std::string(const Grant&)> value) {
  NodeType node{.path = "VMs/*/Lock/UserUnlock/" + name, .format = format};
  node.read = [&view, value = std::move(value)](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::PolicyStatus status, StatusOf(view, call));
    return value(status.policy().lock().user_unlock());
  };
  return node;
}

absl::Status Send(DeviceView& view, const Call& call, v1::UpdateLockSettingsRequest request) {
  request.set_virtual_machine(VirtualMachineName(call.names[0]));
  request.set_request_id(RequestIdOf(call));
  view.OnWrite(call.names[0]);
  return Invoke(view.policies(), &v1::PolicyService::Stub::UpdateLockSettings, request).status();
}

// `parse` puts the value into the grant, or says what is wrong with it.
NodeType Writable(DeviceView& view, NodeType node, const char* field,
                  std::function<absl::Status(const std::string&, Grant&)> parse) {
  node.access = kGet | kReplace;
  node.write = [&view, field, parse = std::move(parse)](const Call& call) -> absl::Status {
    v1::UpdateLockSettingsRequest request;
    RETURN_IF_ERROR(parse(call.value, *request.mutable_lock()->mutable_user_unlock()));
    request.mutable_update_mask()->add_paths(absl::StrCat("user_unlock.", field));
    return Send(view, call, std::move(request));
  };
  return node;
}

// A number of attempts.
NodeType CountLeaf(DeviceView& view, const std::string& name, const char* field,
                   std::function<int(const Grant&)> get, void (Grant::*set)(int32_t)) {
  return Writable(view,
                  GrantLeaf(view, name, Format::kInt,
                            [get](const Grant& grant) { return IntText(get(grant)); }),
                  field, [set](const std::string& text, Grant& grant) -> absl::Status {
                    ASSIGN_OR_RETURN(const int64_t count, ParseInt(text));
                    (grant.*set)(static_cast<int32_t>(count));
                    return absl::OkStatus();
                  });
}

NodeType FlagLeaf(DeviceView& view, const std::string& name, const char* field,
                  bool (Grant::*get)() const, void (Grant::*set)(bool)) {
  return Writable(view,
                  GrantLeaf(view, name, Format::kBool,
                            [get](const Grant& grant) { return BoolText((grant.*get)()); }),
                  field, [set](const std::string& text, Grant& grant) -> absl::Status {
                    ASSIGN_OR_RETURN(const bool flag, ParseBool(text));
                    (grant.*set)(flag);
                    return absl::OkStatus();
                  });
}

NodeType MethodLeaf(DeviceView& view) {
  return Writable(view,
                  GrantLeaf(view, "Method", Format::kInt,
                            [](const Grant& grant) {
                              const bool unset = grant.method() == Grant::METHOD_UNSPECIFIED;
                              return IntText(unset ? Grant::METHOD_SECRET : grant.method());
                            }),
                  "method", [](const std::string& text, Grant& grant) -> absl::Status {
                    ASSIGN_OR_RETURN(const int64_t method, ParseInt(text));
                    if (method != Grant::METHOD_NONE && method != Grant::METHOD_SECRET) {
                      return DmError(syncml::StatusCode::kBadRequest, "Method is 10 or 20");
                    }
                    grant.set_method(static_cast<Grant::Method>(method));
                    return absl::OkStatus();
                  });
}

NodeType ValidUntilLeaf(DeviceView& view) {
  return Writable(
      view,
      GrantLeaf(view, "ValidUntil", Format::kChr,
                [](const Grant& grant) { return IsoTime(grant.valid_until()); }),
      "valid_until", [](const std::string& text, Grant& grant) -> absl::Status {
        absl::Time time;
        std::string error;
        if (text.empty()) return absl::OkStatus();  // No end.
        if (!absl::ParseTime("%E4Y%m%dT%H%M%SZ", text, absl::UTCTimeZone(), &time, &error)) {
          return DmError(syncml::StatusCode::kBadRequest, "ValidUntil is like 20250101T120000Z");
        }
        *grant.mutable_valid_until() = ToTimestamp(time);
        return absl::OkStatus();
      });
}

NodeType SecretLeaf(DeviceView& view) {
  NodeType node{.path = "VMs/*/Lock/UserUnlock/Secret", .format = Format::kChr, .access = kReplace};
  node.irreversible = true;
  node.write = [&view](const Call& call) {
    v1::UpdateLockSettingsRequest request;
    request.set_user_secret(call.value);
    return Send(view, call, std::move(request));
  };
  return node;
}

NodeType EscrowLeaf(DeviceView& view) {
  NodeType node{.path = "VMs/*/Lock/KeyEscrow", .format = Format::kBin};
  node.read = [&view](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::PolicyStatus status, StatusOf(view, call));
    return status.key_escrow();
  };
  node.present = [&view](const Call& call) -> absl::StatusOr<bool> {
    ASSIGN_OR_RETURN(const v1::PolicyStatus status, StatusOf(view, call));
    return !status.key_escrow().empty();
  };
  return node;
}

NodeType VersionLeaf(DeviceView& view) {
  NodeType node{.path = "VMs/*/Policy/Version", .format = Format::kInt};
  node.read = [&view](const Call& call) -> absl::StatusOr<std::string> {
    ASSIGN_OR_RETURN(const v1::PolicyStatus status, StatusOf(view, call));
    return IntText(status.policy().version());
  };
  return node;
}

int AllowedAttempts(const Grant& grant) {
  return grant.max_attempts() > 0 ? grant.max_attempts() : kDefaultAttempts;
}

}  // namespace

std::vector<NodeType> MachineUserUnlockNodes(DeviceView& view) {
  std::vector<NodeType> nodes = {{.path = "VMs/*/Lock/UserUnlock"}, {.path = "VMs/*/Policy"}};
  nodes.push_back(FlagLeaf(view, "Allowed", "allowed", &Grant::allowed, &Grant::set_allowed));
  nodes.back().irreversible = true;  // Withdrawing it destroys the secret.
  nodes.push_back(MethodLeaf(view));
  nodes.push_back(SecretLeaf(view));
  nodes.push_back(ValidUntilLeaf(view));
  nodes.push_back(
      CountLeaf(view, "MaxAttempts", "max_attempts", AllowedAttempts, &Grant::set_max_attempts));
  nodes.push_back(GrantLeaf(view, "Attempts", Format::kInt,
                            [](const Grant& grant) { return IntText(grant.attempts()); }));
  nodes.push_back(FlagLeaf(view, "OneTime", "one_time", &Grant::one_time, &Grant::set_one_time));
  nodes.push_back(CountLeaf(
      view, "WipeAfter", "wipe_after", [](const Grant& grant) { return grant.wipe_after(); },
      &Grant::set_wipe_after));
  nodes.push_back(EscrowLeaf(view));
  nodes.push_back(VersionLeaf(view));
  return nodes;
}

}  // namespace virmo::dm_bridge
