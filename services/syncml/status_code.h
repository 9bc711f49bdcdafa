// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace virmo::syncml {

// The Status codes that DM uses (OMA DM RepPro 1.2, §10). A peer may send any other number: the
// enumeration has a fixed underlying type, so that any number of three digits is a valid value.
enum class StatusCode : int16_t {
  kInProgress = 101,
  kOk = 200,
  kItemAdded = 201,
  kAccepted = 202,                // asynchronous: one alert follows
  kAuthenticationAccepted = 212,  // for the rest of the session
  kChunkAccepted = 213,           // and buffered
  kOperationCancelled = 214,      // by the user
  kNotExecuted = 215,             // bypassed in a Sequence or Atomic, or by the user
  kAtomicRollBackOk = 216,
  kNotModified = 304,  // "no" in a confirmation
  kBadRequest = 400,
  kInvalidCredentials = 401,  // must carry a Chal
  kForbidden = 403,           // for other reasons than the ACL
  kNotFound = 404,
  kCommandNotAllowed = 405,  // on this target
  kOptionalFeatureNotSupported = 406,
  kMissingCredentials = 407,  // must carry a Chal
  kRequestTimeout = 408,
  kIncompleteCommand = 412,
  kEntityTooLarge = 413,
  kUriTooLong = 414,            // segment, depth or total
  kUnsupportedMediaType = 415,  // or format
  kRangeNotSatisfiable = 416,
  kRetryLater = 417,
  kAlreadyExists = 418,
  kDeviceFull = 420,
  kSizeMismatch = 424,
  kPermissionDenied = 425,  // by the ACL
  kCommandFailed = 500,
  kCommandNotImplemented = 501,
  kServiceUnavailable = 503,
  kDtdVersionNotSupported = 505,
  kProcessingError = 506,
  kAtomicFailed = 507,
  kDataStoreFailure = 510,
  kProtocolVersionNotSupported = 513,
  kAtomicRollBackFailed = 516,
  kAtomicResponseTooLarge = 517,
};

// The Alert codes of OMA DM 1.2 (RepPro §8).
enum class AlertCode : int16_t {
  kDisplay = 1100,
  kConfirm = 1101,
  kTextInput = 1102,
  kSingleChoice = 1103,
  kMultipleChoice = 1104,
  kServerInitiated = 1200,
  kClientInitiated = 1201,
  kNextMessage = 1222,
  kSessionAbort = 1223,
  kClientEvent = 1224,
  kNoEndOfData = 1225,
  kGeneric = 1226,
};

constexpr int Number(StatusCode code) { return static_cast<int>(code); }
constexpr int Number(AlertCode code) { return static_cast<int>(code); }

// The code as it stands in Data.
std::string ToText(StatusCode code);
std::string ToText(AlertCode code);

// Reads the text of Data. Nothing if it is not a number of three (four) digits.
std::optional<StatusCode> ParseStatusCode(absl::string_view data);
std::optional<AlertCode> ParseAlertCode(absl::string_view data);

// 2xx.
constexpr bool IsSuccess(StatusCode code) { return Number(code) >= 200 && Number(code) < 300; }

// A few words for people ("permission denied"); by class of hundreds if the code is not in §2.5.
absl::string_view Meaning(StatusCode code);

}  // namespace virmo::syncml
