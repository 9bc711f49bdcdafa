// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/error.h"

#include "absl/strings/str_cat.h"

namespace virmo {

namespace {

using Reason = v1::ErrorInfo;

constexpr char kPayload[] = "type.googleapis.com/virmo.v1.ErrorInfo";

// The number that an option of errors.proto gives to a reason. A reason that this build does not
// know (a newer peer sent it) counts as unspecified.
template <typename Extension>
int OptionOf(v1::ErrorInfo::Reason reason, const Extension& extension) {
  const google::protobuf::EnumDescriptor* type = v1::ErrorInfo::Reason_descriptor();
  const google::protobuf::EnumValueDescriptor* value = type->FindValueByNumber(reason);
  if (value == nullptr) value = type->FindValueByNumber(Reason::REASON_UNSPECIFIED);
  return value->options().GetExtension(extension);
}

absl::Status WithInfo(absl::StatusCode code, absl::string_view message, const v1::ErrorInfo& info) {
  absl::Status status(code, message);
  status.SetPayload(kPayload, absl::Cord(info.SerializeAsString()));
  return status;
}

// What a bare code most likely means; for errors made by gRPC itself or by foreign code.
v1::ErrorInfo::Reason ReasonOfCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return Reason::REASON_UNSPECIFIED;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return Reason::REASON_INVALID_ARGUMENT;
    case absl::StatusCode::kFailedPrecondition:
      return Reason::REASON_WRONG_STATE;
    case absl::StatusCode::kAborted:
      return Reason::REASON_BUSY;
    case absl::StatusCode::kResourceExhausted:
      return Reason::REASON_INSUFFICIENT_RESOURCES;
    case absl::StatusCode::kNotFound:
      return Reason::REASON_NOT_FOUND;
    case absl::StatusCode::kAlreadyExists:
      return Reason::REASON_ALREADY_EXISTS;
    case absl::StatusCode::kUnavailable:
      return Reason::REASON_SERVICE_UNAVAILABLE;
    case absl::StatusCode::kUnimplemented:
      return Reason::REASON_NOT_SUPPORTED;
    case absl::StatusCode::kCancelled:
      return Reason::REASON_CANCELLED;
    case absl::StatusCode::kDeadlineExceeded:
      return Reason::REASON_TIMED_OUT;
    case absl::StatusCode::kPermissionDenied:
      return Reason::REASON_CALLER_NOT_ALLOWED;
    case absl::StatusCode::kUnauthenticated:
      return Reason::REASON_UNAUTHENTICATED;
    case absl::StatusCode::kDataLoss:
      return Reason::REASON_STORAGE_FAILED;
    default:
      return Reason::REASON_INTERNAL;
  }
}

}  // namespace

absl::Status Error(v1::ErrorInfo::Reason reason, absl::string_view message,
                   const Metadata& metadata) {
  return ErrorWithCode(CodeOf(reason), reason, message, metadata);
}

absl::Status ErrorWithCode(absl::StatusCode code, v1::ErrorInfo::Reason reason,
                           absl::string_view message, const Metadata& metadata) {
  v1::ErrorInfo info;
  info.set_reason(reason);
  info.mutable_metadata()->insert(metadata.begin(), metadata.end());
  return WithInfo(code, message, info);
}

absl::Status InvalidField(absl::string_view field, absl::string_view message) {
  v1::ErrorInfo info;
  info.set_reason(Reason::REASON_INVALID_ARGUMENT);
  info.set_field(std::string(field));
  return WithInfo(absl::StatusCode::kInvalidArgument, absl::StrCat(field, ": ", message), info);
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    annotated.SetPayload(type_url, payload);
  });
  return annotated;
}

v1::ErrorInfo ErrorInfoOf(const absl::Status& status) {
  v1::ErrorInfo info;
  const auto payload = status.GetPayload(kPayload);
  if (!payload || !info.ParseFromString(std::string(*payload))) {
    info.Clear();
    info.set_reason(ReasonOfCode(status.code()));
  }
  return info;
}

v1::ErrorInfo::Reason ReasonOf(const absl::Status& status) { return ErrorInfoOf(status).reason(); }

absl::StatusCode CodeOf(v1::ErrorInfo::Reason reason) {
  switch (reason) {
    case Reason::REASON_INVALID_ARGUMENT:
    case Reason::REASON_REQUEST_ID_REUSED:
      return absl::StatusCode::kInvalidArgument;
    case Reason::REASON_WRONG_STATE:
    case Reason::REASON_VM_LOCKED:
    case Reason::REASON_POLICY_FORBIDS:
    case Reason::REASON_STALE_POLICY:
    case Reason::REASON_USER_UNLOCK_REFUSED:
    case Reason::REASON_PACKAGE_INVALID:
      return absl::StatusCode::kFailedPrecondition;
    case Reason::REASON_BUSY:
    case Reason::REASON_STALE_ETAG:
    case Reason::REASON_INTERRUPTED:
      return absl::StatusCode::kAborted;
    case Reason::REASON_INSUFFICIENT_RESOURCES:
    case Reason::REASON_DOWNLOAD_STORAGE_FULL:
    case Reason::REASON_PROVISION_NO_RESOURCES:
      return absl::StatusCode::kResourceExhausted;
    case Reason::REASON_VM_NOT_FOUND:
    case Reason::REASON_NOT_FOUND:
    case Reason::REASON_PERIPHERAL_NOT_ATTACHED:
      return absl::StatusCode::kNotFound;
    case Reason::REASON_ALREADY_EXISTS:
      return absl::StatusCode::kAlreadyExists;
    case Reason::REASON_NOT_SUPPORTED:
    case Reason::REASON_UNSUPPORTED_ENVIRONMENT:
      return absl::StatusCode::kUnimplemented;
    case Reason::REASON_TIMED_OUT:
      return absl::StatusCode::kDeadlineExceeded;
    case Reason::REASON_CANCELLED:
      return absl::StatusCode::kCancelled;
    case Reason::REASON_DOWNLOAD_SERVER_UNAVAILABLE:
    case Reason::REASON_SERVICE_UNAVAILABLE:
    case Reason::REASON_HYPERVISOR_UNAVAILABLE:
    case Reason::REASON_SESSION_FAILED:
      return absl::StatusCode::kUnavailable;
    case Reason::REASON_CALLER_NOT_ALLOWED:
      return absl::StatusCode::kPermissionDenied;
    case Reason::REASON_UNAUTHENTICATED:
      return absl::StatusCode::kUnauthenticated;
    case Reason::REASON_STORAGE_FAILED:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::StatusCode::kInternal;
  }
}

int ResultCodeOf(v1::ErrorInfo::Reason reason) { return OptionOf(reason, v1::result_code); }

int DmStatusOf(v1::ErrorInfo::Reason reason) { return OptionOf(reason, v1::dm_status); }

google::rpc::Status ToRpc(const absl::Status& status) {
  google::rpc::Status rpc;
  rpc.set_code(static_cast<int>(status.code()));
  rpc.set_message(std::string(status.message()));
  status.ForEachPayload([&](absl::string_view type_url, const absl::Cord& payload) {
    google::protobuf::Any* detail = rpc.add_details();
    detail->set_type_url(std::string(type_url));
    detail->set_value(std::string(payload));
  });
  if (!status.ok() && !status.GetPayload(kPayload)) {
    rpc.add_details()->PackFrom(ErrorInfoOf(status));
  }
  return rpc;
}

absl::Status FromRpc(const google::rpc::Status& rpc) {
  absl::Status status(static_cast<absl::StatusCode>(rpc.code()), rpc.message());
  for (const google::protobuf::Any& detail : rpc.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
                      ToRpc(status).SerializeAsString());
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  google::rpc::Status rpc;
  if (!status.error_details().empty() && rpc.ParseFromString(status.error_details()) &&
      rpc.code() == static_cast<int>(status.error_code())) {
    return FromRpc(rpc);
  }
  v1::ErrorInfo info;
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  info.set_reason(ReasonOfCode(code));
  return WithInfo(code, status.error_message(), info);
}

}  // namespace virmo
