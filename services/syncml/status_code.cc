// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/status_code.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace virmo::syncml {
namespace {

std::optional<int> ParseDigits(absl::string_view text, size_t digits) {
  text = absl::StripAsciiWhitespace(text);
  if (text.size() != digits || !absl::ascii_isdigit(text.front())) return std::nullopt;
  int value = 0;
  if (!absl::SimpleAtoi(text, &value)) return std::nullopt;
  return value;
}

constexpr std::pair<StatusCode, const char*> kMeanings[] = {
    {StatusCode::kInProgress, "in progress"},
    {StatusCode::kOk, "OK"},
    {StatusCode::kItemAdded, "item added"},
    {StatusCode::kAccepted, "accepted, result follows"},
    {StatusCode::kAuthenticationAccepted, "authentication accepted"},
    {StatusCode::kChunkAccepted, "chunk accepted"},
    {StatusCode::kOperationCancelled, "cancelled by the user"},
    {StatusCode::kNotExecuted, "not executed"},
    {StatusCode::kAtomicRollBackOk, "rolled back"},
    {StatusCode::kNotModified, "not modified"},
    {StatusCode::kBadRequest, "bad request"},
    {StatusCode::kInvalidCredentials, "invalid credentials"},
    {StatusCode::kForbidden, "forbidden"},
    {StatusCode::kNotFound, "not found"},
    {StatusCode::kCommandNotAllowed, "command not allowed on this node"},
    {StatusCode::kOptionalFeatureNotSupported, "optional feature not supported"},
    {StatusCode::kMissingCredentials, "credentials needed"},
    {StatusCode::kRequestTimeout, "timed out"},
    {StatusCode::kIncompleteCommand, "incomplete command"},
    {StatusCode::kEntityTooLarge, "too large"},
    {StatusCode::kUriTooLong, "URI too long"},
    {StatusCode::kUnsupportedMediaType, "unsupported type or format"},
    {StatusCode::kRangeNotSatisfiable, "cannot be displayed"},
    {StatusCode::kRetryLater, "busy, retry later"},
    {StatusCode::kAlreadyExists, "already exists"},
    {StatusCode::kDeviceFull, "device full"},
    {StatusCode::kSizeMismatch, "size mismatch"},
    {StatusCode::kPermissionDenied, "permission denied"},
    {StatusCode::kCommandFailed, "command failed"},
    {StatusCode::kCommandNotImplemented, "command not implemented"},
    {StatusCode::kServiceUnavailable, "service unavailable"},
    {StatusCode::kDtdVersionNotSupported, "DTD version not supported"},
    {StatusCode::kProcessingError, "processing error"},
    {StatusCode::kAtomicFailed, "atomic failed"},
    {StatusCode::kDataStoreFailure, "data store failure"},
    {StatusCode::kProtocolVersionNotSupported, "protocol version not supported"},
    {StatusCode::kAtomicRollBackFailed, "roll back failed"},
    {StatusCode::kAtomicResponseTooLarge, "response of atomic too large"},
};

absl::string_view MeaningOfClass(int hundreds) {
  switch (hundreds) {
    case 1:
      return "in progress (unknown code)";
    case 2:
      return "success (unknown code)";
    case 3:
      return "nothing done (unknown code)";
    case 4:
      return "refused (unknown code)";
    case 5:
      return "failed (unknown code)";
    default:
      return "unknown code";
  }
}

}  // namespace

std::string ToText(StatusCode code) { return absl::StrCat(Number(code)); }
std::string ToText(AlertCode code) { return absl::StrCat(Number(code)); }

std::optional<StatusCode> ParseStatusCode(absl::string_view data) {
  const auto number = ParseDigits(data, 3);
  if (!number) return std::nullopt;
  return static_cast<StatusCode>(*number);
}

std::optional<AlertCode> ParseAlertCode(absl::string_view data) {
  const auto number = ParseDigits(data, 4);
  if (!number) return std::nullopt;
  return static_cast<AlertCode>(*number);
}

absl::string_view Meaning(StatusCode code) {
  for (const auto& [known, meaning] : kMeanings) {
    if (known == code) return meaning;
  }
  return MeaningOfClass(Number(code) / 100);
}

}  // namespace virmo::syncml
