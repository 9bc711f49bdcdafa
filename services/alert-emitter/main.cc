// SPDX-License-Identifier: Apache-2.0
// alert-emitter: keeps alerts until the server has them. See README.md.

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "services/alert-emitter/alert_service.h"
#include "services/alert-emitter/alert_store.h"
#include "services/runtime/logging.h"
#include "services/runtime/periodic_task.h"
#include "services/runtime/process.h"
#include "services/runtime/program.h"
#include "services/runtime/sqlite.h"
#include "services/runtime/status_macros.h"
#include "virmo/config/v1/alert_emitter_config.pb.h"

namespace virmo::alert_emitter {
namespace {

constexpr absl::Duration kPruneEvery = absl::Hours(6);

config::v1::AlertEmitterConfig Defaults() {
  config::v1::AlertEmitterConfig config;
  config.mutable_listener()->set_address("unix:/run/virmo/alert-emitter.sock");
  config.set_state_directory("/var/lib/virmo/alert-emitter");
  config.set_acknowledged_retention_days(30);
  return config;
}

absl::Duration Prune(AlertStore& store, int days) {
  const absl::Status status = store.Prune(absl::Now() - absl::Hours(24) * days);
  if (!status.ok()) spdlog::warn("pruning failed error=\"{}\"", status.message());
  return kPruneEvery;
}

void ShowStorage(Process& process, const absl::Status& status) {
  if (status.ok()) {
    process.ClearDegraded("storage");
  } else {
    process.SetDegraded("storage", status.message());
  }
}

absl::Status Run(const config::v1::AlertEmitterConfig& config) {
  ASSIGN_OR_RETURN(const auto process, Process::Create("alert-emitter", config.listener()));
  std::string damaged;
  ASSIGN_OR_RETURN(const auto database,
                   Database::OpenOrSetAside(config.state_directory() + "/alerts.db",
                                            {AlertStore::GetSchema()}, &damaged));
  AlertStore store(*database);
  if (!damaged.empty()) {
    spdlog::error("lost alerts that were not delivered cause=\"{}\"", damaged);
    process->SetDegraded("database", damaged);
    RETURN_IF_ERROR(store.StartFrom(absl::ToUnixMillis(absl::Now())));
  }
  AlertService service(store, [&](const absl::Status& status) { ShowStorage(*process, status); });
  process->Register(service);
  process->OnShutdown([&] { store.Close(); });
  const PeriodicTask pruning([&] { return Prune(store, config.acknowledged_retention_days()); });
  return process->Serve();
}

}  // namespace
}  // namespace virmo::alert_emitter

int main(int argc, char** argv) {
  virmo::config::v1::AlertEmitterConfig config = virmo::alert_emitter::Defaults();
  const virmo::Program program = {
      "alert-emitter",
      "Keeps alerts of this device until the management server has them: durable, in order, each\n"
      "once. Other processes of VirMO publish to it; dm-bridge delivers from it."};
  return virmo::RunProgram(argc, argv, program, config,
                           [&] { return virmo::alert_emitter::Run(config); });
}
