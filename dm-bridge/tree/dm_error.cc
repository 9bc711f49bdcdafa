// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/dm_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::dm_bridge {
namespace {

constexpr absl::string_view kPayload = "type.virmo.dev/dm-status";
constexpr absl::string_view kNodePayload = "type.virmo.dev/dm-node";

absl::StatusCode CodeFor(syncml::StatusCode code) {
  switch (code) {
    case syncml::StatusCode::kNotFound:
      return absl::StatusCode::kNotFound;
    case syncml::StatusCode::kAlreadyExists:
      return absl::StatusCode::kAlreadyExists;
    case syncml::StatusCode::kPermissionDenied:
      return absl::StatusCode::kPermissionDenied;
    case syncml::StatusCode::kServiceUnavailable:
      return absl::StatusCode::kUnavailable;
    case syncml::StatusCode::kForbidden:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInvalidArgument;
  }
}

}  // namespace

absl::Status DmError(syncml::StatusCode code, absl::string_view message) {
  absl::Status status(CodeFor(code), message);
  status.SetPayload(kPayload, absl::Cord(syncml::ToText(code)));
  return status;
}

absl::Status DmErrorAt(syncml::StatusCode code, absl::string_view message, absl::string_view node) {
  return NamingNode(DmError(code, message), node);
}

std::string NodeOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kNodePayload);
  return payload ? std::string(*payload) : "";
}

absl::Status NamingNode(absl::Status status, absl::string_view node) {
  if (!status.ok() && NodeOf(status).empty()) status.SetPayload(kNodePayload, absl::Cord(node));
  return status;
}

syncml::StatusCode DmStatusOf(const absl::Status& status) {
  if (status.ok()) return syncml::StatusCode::kOk;
  if (const auto payload = status.GetPayload(kPayload)) {
    return syncml::ParseStatusCode(std::string(*payload))
        .value_or(syncml::StatusCode::kCommandFailed);
  }
  return static_cast<syncml::StatusCode>(virmo::DmStatusOf(ReasonOf(status)));
}

std::string DmTextOf(const absl::Status& status) {
  if (status.ok()) return "";
  if (status.GetPayload(kPayload)) return std::string(status.message());
  return absl::StrCat(ResultCodeOf(ReasonOf(status)), " ", status.message());
}

}  // namespace virmo::dm_bridge
