// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "grpcpp/server_context.h"
#include "policy-engine/policy_store.h"

namespace virmo::policy_engine {

// Sends every policy, then one with `synchronized`, then each change, and an empty one every 10
// seconds as a sign of life, until the call is cancelled, `send` returns false, or the store is
// closed (UNAVAILABLE, as for a watcher that fell too far behind: watch again).
grpc::Status StreamPolicies(PolicyStore& store, const grpc::ServerContext& context,
                            const std::function<bool(const PolicyChange&)>& send);

}  // namespace virmo::policy_engine
