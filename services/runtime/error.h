// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/support/status.h"
#include "virmo/v1/errors.pb.h"

namespace virmo {

using Metadata = std::map<std::string, std::string>;

// A status that programs can branch on: `reason` travels with it as a payload, within this
// process and, through ToGrpc(), to the caller. The status code follows from the reason
// (CodeOf), so that each reason means one code everywhere.
//
//   return Error(v1::ErrorInfo::REASON_WRONG_STATE, "cannot suspend a stopped VM",
//                {{"state", "STOPPED"}});
absl::Status Error(v1::ErrorInfo::Reason reason, absl::string_view message,
                   const Metadata& metadata = {});

// As Error, for the few causes whose reason has more than one code: a full disk is
// RESOURCE_EXHAUSTED, a damaged file DATA_LOSS, and both are REASON_STORAGE_FAILED.
absl::Status ErrorWithCode(absl::StatusCode code, v1::ErrorInfo::Reason reason,
                           absl::string_view message, const Metadata& metadata = {});

// INVALID_ARGUMENT that names the request field, `package.sha256`.
absl::Status InvalidField(absl::string_view field, absl::string_view message);

// The same error with `context: ` before its message; code and reason are kept.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// What a status carries. Of one without ErrorInfo: a reason that fits its code.
v1::ErrorInfo ErrorInfoOf(const absl::Status& status);
v1::ErrorInfo::Reason ReasonOf(const absl::Status& status);

// What a reason means: gRPC code, VirMO result code (1200 to 1599), OMA DM status. Read from the
// options in errors.proto, but for the code.
absl::StatusCode CodeOf(v1::ErrorInfo::Reason reason);
int ResultCodeOf(v1::ErrorInfo::Reason reason);
int DmStatusOf(v1::ErrorInfo::Reason reason);

// Conversions at the edge of a process. All keep code, message and payloads; an error without
// ErrorInfo gets one (ErrorInfoOf), so that every error that leaves us carries one.
google::rpc::Status ToRpc(const absl::Status& status);
absl::Status FromRpc(const google::rpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace virmo
