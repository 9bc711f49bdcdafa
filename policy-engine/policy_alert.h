// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "policy-engine/policy_store.h"
#include "virmo/v1/alert.pb.h"

namespace virmo::policy_engine {

// An alert about a virtual machine, with its state and its lock as they are now. The caller adds
// id, event, severity, result and detail.
v1::Alert MakeAlert(const Record& record, const std::optional<v1::InventoryItem>& item,
                    absl::Time now);

}  // namespace virmo::policy_engine
