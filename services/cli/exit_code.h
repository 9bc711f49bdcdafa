// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/errors.pb.h"

namespace virmo::cli {

// What the program tells its caller. Scripts depend on the numbers: they never change.
enum class ExitCode {
  kOk = 0,
  kFailedOnDevice = 1,
  kUsage = 2,
  kNotFound = 3,
  kRefused = 4,
  kUnreachable = 5,
  kTimedOut = 6,
  kCancelled = 7,
  kNotAllowed = 8,
  kInternal = 9,
  kInterrupted = 130,
};

// The table of exit codes, for --help.
std::string ExitCodeHelp();

// The exit code of an outcome: the one that WithExitCode gave it, else that of its status code.
ExitCode ExitCodeOf(const absl::Status& status);
absl::Status WithExitCode(absl::Status status, ExitCode exit_code);

// INVALID_ARGUMENT: the command line is wrong.
absl::Status UsageError(absl::string_view message);

// What the user can do about a failure; empty if there is nothing to say. WithHint's wins over
// what is told of the error's reason.
std::string HintOf(const absl::Status& status);
absl::Status WithHint(absl::Status status, absl::string_view hint);

// The same with DEVICE and VM in its hint replaced by these, quoted for a shell where needed.
absl::Status WithNamesInHint(absl::Status status, absl::string_view device, absl::string_view vm);

// `VM_LOCKED`: the name of an error's reason; empty if it has none.
std::string ReasonName(const absl::Status& status);

// The reason that a result code (and, where several share it, a DM status) stands for;
// REASON_UNSPECIFIED if that is not known.
v1::ErrorInfo::Reason ReasonOfResult(int result_code, int dm_status);

// The outcome of a command that has ended: OK if it was applied, else why not. `goal` is what was
// tried: `start vm "work" on "phone-1"`.
absl::Status OutcomeOf(const v1::Command& command, absl::string_view goal);

// The error as one line for people with its hint on a second one, and as one line of JSON.
std::string ErrorText(const absl::Status& status);
std::string ErrorJson(const absl::Status& status);

}  // namespace virmo::cli
