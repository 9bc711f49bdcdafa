// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "policy-engine/admission.h"
#include "policy-engine/allocation_setting.h"
#include "policy-engine/disk_keys.h"
#include "policy-engine/enforcement.h"
#include "policy-engine/inventory.h"
#include "policy-engine/locking.h"
#include "policy-engine/peripherals.h"
#include "policy-engine/policy_store.h"
#include "policy-engine/pools.h"
#include "policy-engine/recovery.h"
#include "policy-engine/sharing.h"
#include "policy-engine/transferring.h"
#include "policy-engine/user_unlock_store.h"
#include "policy-engine/user_unlocking.h"
#include "services/runtime/clock.h"
#include "services/runtime/journal.h"
#include "services/runtime/outbox.h"
#include "services/runtime/sqlite.h"
#include "virmo/config/v1/policy_engine_config.pb.h"

namespace virmo::policy_engine {

// The use cases of policy-engine, wired over one database: what the services and the tests hold.
struct PolicyEngine {
  // Sensible without any file.
  static config::v1::PolicyEngineConfig DefaultConfig();
  // Everything that its database holds, outbox and journal included.
  static std::vector<Schema> Schemas();

  // All must outlive it. `on_storage` is told after each change whether storage works.
  PolicyEngine(Database& database, Outbox& outbox, const config::v1::PolicyEngineConfig& config,
               Clock clock, std::function<void(const absl::Status&)> on_storage,
               const UserUnlocking::Options& unlocking_options = {});

  // Forgets what nobody will ask for again. For about once a day.
  absl::Status Prune();

  const Clock clock;
  OperationJournal journal;
  PolicyStore store;
  DiskKeys keys;
  UserUnlockStore unlocks;
  Pools pools;
  Sharing sharing;
  Recovery recovery;
  Enforcement enforcement;
  UserUnlocking unlocking;
  Admission admission;
  Inventory inventory;
  Locking locking;
  Peripherals peripherals;
  AllocationSetting allocations;
  Transferring transfers;
};

}  // namespace virmo::policy_engine
