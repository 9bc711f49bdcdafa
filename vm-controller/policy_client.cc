// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/policy_client.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(3);

// What the transport says becomes a reason; what policy-engine says stays as it is.
absl::Status Translate(const grpc::Status& status) {
  if (status.error_code() != grpc::StatusCode::UNAVAILABLE &&
      status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED) {
    return FromGrpc(status);
  }
  return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
               absl::StrCat("policy-engine cannot be reached: ", status.error_message()),
               {{"service", "policy-engine"}});
}

}  // namespace

PolicyClient::PolicyClient(std::shared_ptr<grpc::Channel> channel)
    : stub_(v1::PolicyEnforcementService::NewStub(channel)) {}

absl::StatusOr<v1::AdmitResponse> PolicyClient::Admit(const v1::AdmitRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, kTimeout);
  v1::AdmitResponse response;
  const grpc::Status status = stub_->Admit(&context, request, &response);
  if (!status.ok()) return Translate(status);
  return response;
}

absl::StatusOr<v1::ReportAppliedResponse> PolicyClient::ReportApplied(
    const v1::ReportAppliedRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, kTimeout);
  v1::ReportAppliedResponse response;
  const grpc::Status status = stub_->ReportApplied(&context, request, &response);
  if (!status.ok()) return Translate(status);
  return response;
}

absl::StatusOr<v1::ReportInventoryResponse> PolicyClient::ReportInventory(
    const v1::ReportInventoryRequest& request) {
  grpc::ClientContext context;
  SetDeadline(context, kTimeout);
  v1::ReportInventoryResponse response;
  const grpc::Status status = stub_->ReportInventory(&context, request, &response);
  if (!status.ok()) return Translate(status);
  return response;
}

}  // namespace virmo::vm_controller
