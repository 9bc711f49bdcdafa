// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/provisioner.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "dm-bridge/objects/invoke.h"
#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

using google::longrunning::Operation;

absl::Status Incomplete(absl::string_view leaf, absl::string_view why) {
  return DmError(syncml::StatusCode::kIncompleteCommand, absl::StrCat(leaf, ": ", why));
}

// `sha-256:<hex>` to the hex digits.
absl::StatusOr<std::string> ParseDigest(absl::string_view digest) {
  std::string hex = absl::AsciiStrToLower(absl::StripAsciiWhitespace(digest));
  const bool known = hex.rfind("sha-256:", 0) == 0;
  if (known) hex.erase(0, 8);
  const bool digits = hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!known || !digits || hex.size() != 64) {
    return Incomplete("Digest", "must be sha-256: and 64 hex digits");
  }
  return hex;
}

v1::OperationEvent EventOf(const Operation& operation) {
  v1::OperationEvent event;
  event.set_name(operation.name());
  operation.metadata().UnpackTo(event.mutable_metadata());
  event.set_done(operation.done());
  return event;
}

// An operation that ended without having touched anything may carry no result code.
v1::OperationEvent WithResult(v1::OperationEvent event, const Operation& operation) {
  if (!event.done() || event.metadata().result_code() != 0) return event;
  event.mutable_metadata()->set_result_code(
      operation.has_error() ? ResultCodeOf(ReasonOf(FromRpc(operation.error()))) : 1200);
  return event;
}

}  // namespace

absl::StatusOr<std::string> Provisioner::Leaf(const std::string& name,
                                              const std::string& path) const {
  ASSIGN_OR_RETURN(const auto value, store_->GetLeaf(name, path));
  return value.value_or("");
}

absl::StatusOr<ProvisionRecord> Provisioner::Read(const std::string& name) const {
  ASSIGN_OR_RETURN(ProvisionRecord record, store_->GetRecord(name));
  if (!record.running()) return record;
  google::longrunning::GetOperationRequest request;
  request.set_name(OperationName(record.operation));
  const absl::StatusOr<Operation> operation =
      Invoke(view_->operations(), &google::longrunning::Operations::Stub::GetOperation, request);
  if (absl::IsNotFound(operation.status())) {
    // It was never accepted: the call did not arrive. The server may Exec again.
    record = ProvisionRecord();
    RETURN_IF_ERROR(store_->SetRecord(name, record));
    return record;
  }
  RETURN_IF_ERROR(operation.status());
  RETURN_IF_ERROR(store_->OnOperation(WithResult(EventOf(*operation), *operation)));
  return store_->GetRecord(name);
}

absl::StatusOr<v1::Package> Provisioner::MakePackage(const std::string& name) const {
  v1::Package package;
  ASSIGN_OR_RETURN(*package.mutable_uri(), Leaf(name, "PkgURL"));
  if (package.uri().empty()) return Incomplete("PkgURL", "missing");
  ASSIGN_OR_RETURN(*package.mutable_media_type(), Leaf(name, "PkgType"));
  if (package.media_type().empty()) return Incomplete("PkgType", "missing");
  ASSIGN_OR_RETURN(const std::string digest, Leaf(name, "Digest"));
  ASSIGN_OR_RETURN(*package.mutable_sha256(), ParseDigest(digest));
  ASSIGN_OR_RETURN(*package.mutable_package_id(), Leaf(name, "PkgID"));
  ASSIGN_OR_RETURN(*package.mutable_signature(), Leaf(name, "Signature"));
  ASSIGN_OR_RETURN(*package.mutable_signer_certificate(), Leaf(name, "SignerCert"));
  ASSIGN_OR_RETURN(*package.mutable_deployment_option(), Leaf(name, "Ext/VirMO/DeploymentOption"));
  ASSIGN_OR_RETURN(const std::string accepts, Leaf(name, "Ext/VirMO/AcceptEULAs"));
  package.set_accept_eulas(accepts == "true");
  ASSIGN_OR_RETURN(const auto properties, store_->LeavesBelow(name, "Ext/VirMO/Properties"));
  package.mutable_properties()->insert(properties.begin(), properties.end());
  return package;
}

absl::Status Provisioner::AddAllocations(const std::string& name, v1::VirtualMachine& vm) const {
  struct Source {
    const char* path;
    v1::ResourceKind kind;
  };
  for (const Source& source : {Source{"Resources/RAM/Size", v1::RESOURCE_KIND_MEMORY},
                               Source{"Resources/CPU/Count", v1::RESOURCE_KIND_PROCESSOR},
                               Source{"Resources/Storage/Size", v1::RESOURCE_KIND_STORAGE}}) {
    ASSIGN_OR_RETURN(const auto text, store_->GetLeaf(name, source.path));
    if (!text) continue;
    ASSIGN_OR_RETURN(const int64_t quantity, ParseInt(*text));
    v1::Allocation& allocation = *vm.add_allocations();
    allocation.set_kind(source.kind);
    allocation.set_virtual_quantity(quantity);
  }
  ASSIGN_OR_RETURN(const auto shares, store_->GetLeaf(name, "Resources/CPU/Shares"));
  ASSIGN_OR_RETURN(const auto limit, store_->GetLeaf(name, "Resources/CPU/Limit"));
  for (v1::Allocation& allocation : *vm.mutable_allocations()) {
    if (allocation.kind() != v1::RESOURCE_KIND_PROCESSOR) continue;
    ASSIGN_OR_RETURN(const int64_t weight, ParseInt(shares.value_or("0")));
    allocation.set_weight(static_cast<int32_t>(weight));
    ASSIGN_OR_RETURN(const int64_t cap, ParseInt(limit.value_or("0")));
    allocation.set_limit(cap);
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::CreateVirtualMachineRequest> Provisioner::MakeRequest(const Call& call,
                                                                         What what) const {
  const std::string& name = call.names[0];
  v1::CreateVirtualMachineRequest request;
  ASSIGN_OR_RETURN(*request.mutable_package(), MakePackage(name));
  ASSIGN_OR_RETURN(*request.mutable_virtual_machine_id(), Leaf(name, "VMID"));
  v1::VirtualMachine& vm = *request.mutable_virtual_machine();
  ASSIGN_OR_RETURN(*vm.mutable_display_name(), Leaf(name, "Name"));
  ASSIGN_OR_RETURN(*vm.mutable_description(), Leaf(name, "Description"));
  RETURN_IF_ERROR(AddAllocations(name, vm));
  ASSIGN_OR_RETURN(const std::string start, Leaf(name, "AutoStart"));
  request.set_start(what != What::kDownload && start == "true");
  request.set_download_only(what == What::kDownload);
  request.set_request_id(RequestIdOf(call));
  *request.mutable_initiator() = InitiatorOf(call);
  return request;
}

absl::Status Provisioner::CheckMayBegin(const ProvisionRecord& record, const std::string& operation,
                                        What what) const {
  if (record.operation == operation) return absl::OkStatus();  // The same command again.
  if (record.running()) {
    return Error(v1::ErrorInfo::REASON_BUSY, "the request is being carried out",
                 {{"operation", OperationName(record.operation)}});
  }
  if (record.status == ProvisionStatus::kProvisioned) {
    return Error(v1::ErrorInfo::REASON_WRONG_STATE, "the request was carried out",
                 {{"state", "PROVISIONED"}});
  }
  if (what == What::kProvision && record.status != ProvisionStatus::kDownloadComplete) {
    return Error(v1::ErrorInfo::REASON_WRONG_STATE, "no package is on the device: Download first",
                 {{"state", absl::StrCat(static_cast<int>(record.status))}});
  }
  return absl::OkStatus();
}

absl::StatusOr<ExecOutcome> Provisioner::Begin(const Call& call, What what) const {
  const std::string& name = call.names[0];
  ASSIGN_OR_RETURN(const v1::CreateVirtualMachineRequest request, MakeRequest(call, what));
  ASSIGN_OR_RETURN(const ProvisionRecord before, Read(name));
  RETURN_IF_ERROR(CheckMayBegin(before, request.request_id(), what));
  RETURN_IF_ERROR(store_->SetRecord(name, {.status = ProvisionStatus::kDownloadProgressing,
                                           .operation = request.request_id(),
                                           .download_only = what == What::kDownload}));
  FaultPoint("provision.recorded");
  const absl::StatusOr<Operation> operation =
      Invoke(view_->machines(), &v1::VirtualMachineService::Stub::CreateVirtualMachine, request);
  FaultPoint("provision.called");
  if (operation.ok()) {
    const v1::OperationEvent event = WithResult(EventOf(*operation), *operation);
    RETURN_IF_ERROR(store_->OnOperation(event));
    absl::StatusOr<std::string> id = VirtualMachineId(event.metadata().target());
    if (id.ok()) view_->OnWrite(*id);
  } else if (!absl::IsUnavailable(operation.status())) {
    RETURN_IF_ERROR(store_->SetRecord(name, before));  // Refused: as if it had not been asked.
  }
  return OutcomeOf(operation);
}

absl::StatusOr<ExecOutcome> Provisioner::Cancel(const Call& call) const {
  ASSIGN_OR_RETURN(const ProvisionRecord record, Read(call.names[0]));
  if (!record.running()) {
    return Error(v1::ErrorInfo::REASON_WRONG_STATE, "there is nothing to cancel");
  }
  google::longrunning::CancelOperationRequest request;
  request.set_name(OperationName(record.operation));
  RETURN_IF_ERROR(
      Invoke(view_->operations(), &google::longrunning::Operations::Stub::CancelOperation, request)
          .status());
  return ExecOutcome::kDone;
}

}  // namespace virmo::dm_bridge
