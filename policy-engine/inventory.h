// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "policy-engine/enforcement.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/pools.h"
#include "policy-engine/recovery.h"
#include "policy-engine/sharing.h"
#include "policy-engine/user_unlocking.h"
#include "virmo/v1/policy_enforcement_service.pb.h"

namespace virmo::policy_engine {

// Takes the controller's reports of what exists: they alone free reservations, and they show which
// records were lost. One report is one change. Thread-safe.
class Inventory {
 public:
  struct Parts {
    PolicyStore& store;
    Pools& pools;
    Recovery& recovery;
    Enforcement& enforcement;
    UserUnlocking& unlocking;
    Sharing& sharing;
  };

  explicit Inventory(const Parts& parts) : parts_(parts) {}

  // See PolicyEnforcementService.ReportInventory. Returns whether a full report is wanted.
  // INVALID_ARGUMENT, and nothing is taken, if any part of the report is malformed.
  absl::StatusOr<bool> Report(const v1::ReportInventoryRequest& request);

 private:
  absl::Status Take(const v1::ReportInventoryRequest& request, bool* full_report_wanted);
  absl::Status TakeItem(const v1::InventoryItem& item);
  absl::Status TakeRemoved(const std::string& id);
  // What a full report does not list holds nothing; its record stays.
  absl::Status TakeMissing(const std::set<std::string>& listed);
  absl::Status EndAdmissions(const std::string& id, const v1::InventoryItem& item);

  const Parts parts_;
};

}  // namespace virmo::policy_engine
