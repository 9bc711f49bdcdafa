// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_stream.h"

#include <memory>
#include <vector>

#include "services/runtime/error.h"

namespace virmo::policy_engine {
namespace {

constexpr absl::Duration kSignOfLife = absl::Seconds(10);

bool SendAll(const std::vector<v1::PolicyStatus>& policies,
             const std::function<bool(const PolicyChange&)>& send) {
  for (const v1::PolicyStatus& policy : policies) {
    PolicyChange change;
    *change.mutable_changed() = policy;
    if (!send(change)) return false;
  }
  PolicyChange synchronized;
  synchronized.set_synchronized(true);
  return send(synchronized);
}

}  // namespace

grpc::Status StreamPolicies(PolicyStore& store, const grpc::ServerContext& context,
                            const std::function<bool(const PolicyChange&)>& send) {
  std::unique_ptr<PolicyStore::Subscription> subscription;
  std::vector<v1::PolicyStatus> policies;
  if (absl::Status status = store.Watch(&subscription, &policies); !status.ok()) {
    return ToGrpc(status);
  }
  bool alive = SendAll(policies, send);
  while (alive && !context.IsCancelled()) {
    PolicyChange change;
    const auto state = subscription->Next(kSignOfLife, &change);
    if (state == PolicyStore::Subscription::State::kClosed) {
      return ToGrpc(Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                          "policy-engine is shutting down, or the watcher fell behind",
                          {{"service", "policy-engine"}}));
    }
    alive = send(change);
  }
  return grpc::Status::OK;
}

}  // namespace virmo::policy_engine
