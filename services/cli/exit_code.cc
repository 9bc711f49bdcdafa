// SPDX-License-Identifier: Apache-2.0
#include "services/cli/exit_code.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

#include "services/cli/width.h"
#include "services/runtime/error.h"

namespace virmo::cli {
namespace {

using Reason = v1::ErrorInfo::Reason;

constexpr char kExitCodePayload[] = "virmo.cli/exit_code";
constexpr char kHintPayload[] = "virmo.cli/hint";

const char* HintOfReason(Reason reason) {
  switch (reason) {
    case v1::ErrorInfo::REASON_VM_LOCKED:
      return "unlock it first: virmo vm unlock DEVICE VM";
    case v1::ErrorInfo::REASON_WRONG_STATE:
      return "see its state: virmo vm show DEVICE VM";
    case v1::ErrorInfo::REASON_BUSY:
      return "wait for the other operation: virmo command list DEVICE";
    case v1::ErrorInfo::REASON_VM_NOT_FOUND:
      return "see what there is: virmo vm list DEVICE; on a device: virmo local vms";
    case v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES:
    case v1::ErrorInfo::REASON_PROVISION_NO_RESOURCES:
      return "stop or suspend another virtual machine, or ask for less (--memory, --cpus)";
    case v1::ErrorInfo::REASON_DOWNLOAD_STORAGE_FULL:
      return "delete a virtual machine on the device to make room";
    case v1::ErrorInfo::REASON_PACKAGE_INVALID:
      return "compare the image with its source and upload it again";
    case v1::ErrorInfo::REASON_DOWNLOAD_FAILED:
    case v1::ErrorInfo::REASON_DOWNLOAD_SERVER_UNAVAILABLE:
      return "see whether the device can reach the image's address";
    case v1::ErrorInfo::REASON_STALE_ETAG:
      return "it changed meanwhile: look again and repeat";
    case v1::ErrorInfo::REASON_CALLER_NOT_ALLOWED:
      return "run it as a user whom the listener's allowed_users names";
    default:
      return "";
  }
}

const char* HintOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "try again";
    case absl::StatusCode::kDeadlineExceeded:
      return "wait longer with --timeout";
    default:
      return "";
  }
}

std::string Payload(const absl::Status& status, const char* url) {
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  return payload ? std::string(*payload) : "";
}

std::string ShellWord(absl::string_view word) {
  const bool plain = std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._", c);
  });
  return plain ? std::string(word)
               : absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

// A reason that says more precisely what another says, with the same codes: on the wire they are
// one.
bool RefinesAnother(Reason reason) {
  return reason == v1::ErrorInfo::REASON_KEY_UNAVAILABLE ||
         reason == v1::ErrorInfo::REASON_EULA_NOT_ACCEPTED ||
         reason == v1::ErrorInfo::REASON_NOT_ENFORCEABLE;
}

}  // namespace

std::string ExitCodeHelp() {
  return "Exit codes:\n"
         "  0    done (a command: CONFIRMED or APPLIED)\n"
         "  1    the command failed on the device; syncml: the document is malformed\n"
         "  2    wrong usage, or a wrong value\n"
         "  3    not found\n"
         "  4    refused: wrong state, locked, busy, exists already, not supported\n"
         "  5    the server, or the process asked, cannot be reached\n"
         "  6    timed out waiting; the command goes on\n"
         "  7    the command was cancelled\n"
         "  8    not allowed\n"
         "  9    an error inside the server, or writing a file here\n"
         "  130  interrupted by Ctrl-C; the command goes on\n";
}

ExitCode ExitCodeOf(const absl::Status& status) {
  int given = 0;
  if (absl::SimpleAtoi(Payload(status, kExitCodePayload), &given)) {
    return static_cast<ExitCode>(given);
  }
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kUsage;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnimplemented:
      return ExitCode::kRefused;
    case absl::StatusCode::kUnavailable:
      return ExitCode::kUnreachable;
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kTimedOut;
    case absl::StatusCode::kCancelled:
      return ExitCode::kCancelled;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
      return ExitCode::kNotAllowed;
    default:
      return ExitCode::kInternal;
  }
}

absl::Status WithExitCode(absl::Status status, ExitCode exit_code) {
  status.SetPayload(kExitCodePayload, absl::Cord(absl::StrCat(static_cast<int>(exit_code))));
  return status;
}

absl::Status UsageError(absl::string_view message) {
  return WithHint(Error(v1::ErrorInfo::REASON_INVALID_ARGUMENT, message), "see --help");
}

absl::Status WithHint(absl::Status status, absl::string_view hint) {
  status.SetPayload(kHintPayload, absl::Cord(hint));
  return status;
}

std::string HintOf(const absl::Status& status) {
  std::string hint = Payload(status, kHintPayload);
  if (hint.empty()) hint = HintOfReason(ReasonOf(status));
  if (hint.empty()) hint = HintOfCode(status.code());
  return hint;
}

absl::Status WithNamesInHint(absl::Status status, absl::string_view device, absl::string_view vm) {
  const std::string hint = HintOf(status);
  if (status.ok() || hint.empty() || vm.empty()) return status;
  return WithHint(std::move(status), absl::StrReplaceAll(hint, {{"DEVICE", ShellWord(device)},
                                                                {"VM", ShellWord(vm)}}));
}

std::string ReasonName(const absl::Status& status) {
  const Reason reason = ReasonOf(status);
  if (reason == v1::ErrorInfo::REASON_UNSPECIFIED) return "";
  return std::string(absl::StripPrefix(v1::ErrorInfo::Reason_Name(reason), "REASON_"));
}

Reason ReasonOfResult(int result_code, int dm_status) {
  Reason found = v1::ErrorInfo::REASON_UNSPECIFIED;
  for (const bool exact : {false, true}) {
    int matches = 0;
    const google::protobuf::EnumDescriptor& reasons = *v1::ErrorInfo::Reason_descriptor();
    for (int i = 1; i < reasons.value_count(); ++i) {
      const auto reason = static_cast<Reason>(reasons.value(i)->number());
      if (ResultCodeOf(reason) != result_code || RefinesAnother(reason)) continue;
      if (exact && DmStatusOf(reason) != dm_status) continue;
      found = reason;
      ++matches;
    }
    if (matches == 1) return found;
  }
  return v1::ErrorInfo::REASON_UNSPECIFIED;
}

absl::Status OutcomeOf(const v1::Command& command, absl::string_view goal) {
  switch (command.state()) {
    case v1::Command::STATE_APPLIED:
    case v1::Command::STATE_CONFIRMED:
      return absl::OkStatus();
    case v1::Command::STATE_CANCELLED:
      return WithExitCode(Error(v1::ErrorInfo::REASON_CANCELLED,
                                absl::StrCat("cannot ", goal, ": the command was cancelled")),
                          ExitCode::kCancelled);
    default:
      break;
  }
  Metadata metadata = {{"command", command.name()}};
  std::string codes;
  if (command.result_code() != 0) {
    metadata["result_code"] = absl::StrCat(command.result_code());
    absl::StrAppend(&codes, ", result ", command.result_code());
  }
  if (command.dm_status() != 0) {
    metadata["dm_status"] = absl::StrCat(command.dm_status());
    absl::StrAppend(&codes, ", DM status ", command.dm_status());
  }
  std::string message = absl::StrCat("cannot ", goal, ": ");
  if (!command.detail().empty()) {
    absl::StrAppend(&message, command.detail());
  } else {
    absl::StrAppend(&message, "it failed",
                    codes.empty() ? " for a reason the server does not know" : codes);
  }
  const Reason reason = ReasonOfResult(command.result_code(), command.dm_status());
  return WithExitCode(Error(reason, message, metadata), ExitCode::kFailedOnDevice);
}

std::string ErrorText(const absl::Status& status) {
  std::string text = absl::StrCat("virmo: ", Printable(status.message()));
  const std::string reason = ReasonName(status);
  // That an argument is wrong is told by the message already.
  if (!reason.empty() && reason != "INVALID_ARGUMENT") absl::StrAppend(&text, " (", reason, ")");
  absl::StrAppend(&text, "\n");
  const std::string hint = HintOf(status);
  if (!hint.empty()) absl::StrAppend(&text, "  ", Printable(hint), "\n");
  return text;
}

std::string ErrorJson(const absl::Status& status) {
  const v1::ErrorInfo info = ErrorInfoOf(status);
  nlohmann::ordered_json error;
  error["code"] = absl::StatusCodeToString(status.code());
  error["reason"] = ReasonName(status);
  error["message"] = std::string(status.message());
  if (!info.field().empty()) error["field"] = info.field();
  error["metadata"] =
      std::map<std::string, std::string>(info.metadata().begin(), info.metadata().end());
  const std::string hint = HintOf(status);
  if (!hint.empty()) error["hint"] = hint;
  error["exit_code"] = static_cast<int>(ExitCodeOf(status));
  const nlohmann::ordered_json document = {{"error", error}};
  using Json = nlohmann::ordered_json;
  return document.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace virmo::cli
