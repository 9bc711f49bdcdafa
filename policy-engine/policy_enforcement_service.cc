// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_enforcement_service.h"

#include <map>
#include <string>
#include <utility>

#include "policy-engine/policy_stream.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"

namespace virmo::policy_engine {
namespace {

// Turns changes of what is asked or applied into changes of what is asked: the controller need not
// hear of its own reports.
class EffectivePolicies {
 public:
  // Whether there is anything to tell.
  bool Convert(const PolicyChange& change, v1::WatchEffectivePoliciesResponse* message) {
    message->set_synchronized(change.synchronized());
    if (!change.removed().empty()) {
      versions_.erase(change.removed());
      message->set_removed(change.removed());
    }
    if (!change.has_changed()) return true;
    const v1::EffectivePolicy& policy = change.changed().policy();
    const auto [sent, is_new] = versions_.try_emplace(policy.virtual_machine(), policy.version());
    if (!is_new && sent->second == policy.version()) return false;
    sent->second = policy.version();
    *message->mutable_changed() = policy;
    return true;
  }

 private:
  std::map<std::string, int64_t> versions_;
};

}  // namespace

grpc::Status PolicyEnforcementService::Admit(grpc::ServerContext* /*context*/,
                                             const v1::AdmitRequest* request,
                                             v1::AdmitResponse* response) {
  absl::StatusOr<v1::AdmitResponse> ticket = engine_.admission.Admit(*request);
  spdlog::info("{} kind={} vm={} operation={} version={} cause=\"{}\"",
               ticket.ok() ? "admitted" : "refused", v1::OperationKind_Name(request->kind()),
               request->virtual_machine(), request->operation(),
               ticket.ok() ? ticket->policy_version() : 0, ticket.status().message());
  if (!ticket.ok()) return ToGrpc(ticket.status());
  *response = *std::move(ticket);
  return grpc::Status::OK;
}

grpc::Status PolicyEnforcementService::WatchEffectivePolicies(
    grpc::ServerContext* context, const v1::WatchEffectivePoliciesRequest* /*request*/,
    grpc::ServerWriter<v1::WatchEffectivePoliciesResponse>* writer) {
  EffectivePolicies policies;
  engine_.transfers.OnController(true);
  const grpc::Status ended =
      StreamPolicies(engine_.store, *context, [&](const PolicyChange& change) {
        v1::WatchEffectivePoliciesResponse message;
        return !policies.Convert(change, &message) || writer->Write(message);
      });
  engine_.transfers.OnController(false);
  return ended;
}

grpc::Status PolicyEnforcementService::ReportApplied(grpc::ServerContext* /*context*/,
                                                     const v1::ReportAppliedRequest* request,
                                                     v1::ReportAppliedResponse* response) {
  const absl::StatusOr<int64_t> newest = engine_.enforcement.Report(*request);
  if (!newest.ok()) return ToGrpc(newest.status());
  engine_.transfers.Poke();
  response->set_newest_version(*newest);
  return grpc::Status::OK;
}

grpc::Status PolicyEnforcementService::ReportInventory(grpc::ServerContext* /*context*/,
                                                       const v1::ReportInventoryRequest* request,
                                                       v1::ReportInventoryResponse* response) {
  const absl::StatusOr<bool> wanted = engine_.inventory.Report(*request);
  if (!wanted.ok()) return ToGrpc(wanted.status());
  engine_.transfers.Poke();
  response->set_full_report_wanted(*wanted);
  return grpc::Status::OK;
}

grpc::Status PolicyEnforcementService::ObtainDiskKey(grpc::ServerContext* /*context*/,
                                                     const v1::ObtainDiskKeyRequest* request,
                                                     v1::ObtainDiskKeyResponse* response) {
  absl::StatusOr<v1::ObtainDiskKeyResponse> key = engine_.keys.Obtain(*request);
  spdlog::info("{} key of vm={} operation={} cause=\"{}\"", key.ok() ? "gave" : "refused",
               request->virtual_machine(), request->operation(), key.status().message());
  if (!key.ok()) return ToGrpc(key.status());
  *response = *std::move(key);
  return grpc::Status::OK;
}

}  // namespace virmo::policy_engine
