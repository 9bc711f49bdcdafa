// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_engine.h"

#include <utility>

#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {

config::v1::PolicyEngineConfig PolicyEngine::DefaultConfig() {
  config::v1::PolicyEngineConfig config;
  config.mutable_listener()->set_address("unix:/run/virmo/policy-engine.sock");
  config.set_state_directory("/var/lib/virmo/policy-engine");
  config.mutable_alert_emitter()->set_address("unix:/run/virmo/alert-emitter.sock");
  config.set_host_reserve_memory_mib(512);
  config.set_max_virtual_cpus(64);
  config.set_enforcement_timeout_seconds(30);
  config.set_transfer_timeout_seconds(30);
  return config;
}

std::vector<Schema> PolicyEngine::Schemas() {
  return {PolicyStore::GetSchema(), OperationJournal::GetSchema(), Outbox::GetSchema(),
          Sharing::GetSchema()};
}

PolicyEngine::PolicyEngine(Database& database, Outbox& outbox,
                           const config::v1::PolicyEngineConfig& config, Clock the_clock,
                           std::function<void(const absl::Status&)> on_storage,
                           const UserUnlocking::Options& unlocking_options)
    : clock(std::move(the_clock)),
      journal(database),
      store(database, std::move(on_storage)),
      keys(database, store, KeyCredentials::Load(config)),
      unlocks(database),
      pools(store, config),
      sharing(database, store, clock),
      recovery(store, keys, unlocks, outbox, clock),
      enforcement({store, journal, outbox, recovery}, clock,
                  absl::Seconds(config.enforcement_timeout_seconds())),
      unlocking({store, unlocks, keys, enforcement, outbox}, clock, unlocking_options),
      admission(store, pools, keys, sharing, clock),
      inventory({store, pools, recovery, enforcement, unlocking, sharing}),
      locking({store, journal, enforcement, keys, unlocking}, clock),
      peripherals({store, journal, enforcement}, clock),
      allocations(store, pools, clock),
      transfers({store, pools, journal, outbox}, clock,
                absl::Seconds(config.transfer_timeout_seconds())) {}

absl::Status PolicyEngine::Prune() {
  RETURN_IF_ERROR(journal.Prune());
  return store.PruneRequests(clock() - absl::Hours(30 * 24));
}

}  // namespace virmo::policy_engine
