// SPDX-License-Identifier: Apache-2.0
// policy-engine: decides what virtual machines may have and do. See README.md.

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "policy-engine/policy_enforcement_service.h"
#include "policy-engine/policy_engine.h"
#include "policy-engine/policy_service.h"
#include "policy-engine/user_unlock_service.h"
#include "services/runtime/channel.h"
#include "services/runtime/logging.h"
#include "services/runtime/operations_service.h"
#include "services/runtime/outbox.h"
#include "services/runtime/periodic_task.h"
#include "services/runtime/process.h"
#include "services/runtime/program.h"
#include "services/runtime/socket_server.h"
#include "services/runtime/sqlite.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::policy_engine {
namespace {

void Show(Process& process, absl::string_view subject, bool ok, absl::string_view cause) {
  if (ok) {
    process.ClearDegraded(subject);
  } else {
    process.SetDegraded(subject, cause);
  }
}

// Every virtual machine counts as locked until its record is made again: inventory.h.
absl::Status TellDamage(Process& process, Database& database, Outbox& outbox,
                        const std::string& damaged) {
  spdlog::error("lost all policies, virtual machines get locked cause=\"{}\"", damaged);
  process.SetDegraded("database", damaged);
  v1::Alert alert;
  alert.set_alert_id(NewUuid());
  alert.set_event("PolicyViolation");
  alert.set_severity(v1::Alert::SEVERITY_CRITICAL);
  alert.set_detail("policy database lost, every virtual machine gets locked: " + damaged);
  return database.Transact([&] { return outbox.Add(alert); });
}

// Without them encrypted virtual machines are refused; all else goes on.
void ShowKeys(Process& process, const config::v1::PolicyEngineConfig& config,
              const KeyCredentials& keys) {
  Show(process, "host-key", keys.host.ok(), keys.host.status().message());
  if (config.escrow_public_key_file().empty()) return;
  Show(process, "escrow-key", keys.escrow.ok(), keys.escrow.status().message());
}

// What it offers is safe for all, unless who may is said.
config::v1::Listener UserListener(const config::v1::PolicyEngineConfig& config) {
  config::v1::Listener listener = config.user_listener();
  if (!config.has_user_listener()) listener.add_allowed_users("*");
  if (!listener.address().empty()) return listener;
  const std::string& own = config.listener().address();
  const bool is_socket = absl::StartsWith(own, "unix:");
  listener.set_address(absl::StrCat(is_socket ? own.substr(0, own.rfind('/')) : "unix:/run/virmo",
                                    "/user-unlock.sock"));
  return listener;
}

absl::Duration Prune(PolicyEngine& engine) {
  const absl::Status status = engine.Prune();
  if (!status.ok()) spdlog::warn("pruning failed error=\"{}\"", status.message());
  return absl::Hours(24);
}

// Every object of the process is made here, in order of dependency.
absl::Status Run(const config::v1::PolicyEngineConfig& config) {
  ASSIGN_OR_RETURN(const auto process, Process::Create("policy-engine", config.listener()));
  ASSIGN_OR_RETURN(const auto alert_emitter, MakeChannel(config.alert_emitter()));
  std::string damaged;
  ASSIGN_OR_RETURN(const auto database,
                   Database::OpenOrSetAside(config.state_directory() + "/policy.db",
                                            PolicyEngine::Schemas(), &damaged));
  Outbox outbox(*database, "policy-engine", alert_emitter, [&](bool ok, const std::string& detail) {
    Show(*process, "alert-emitter", ok, detail);
  });
  PolicyEngine engine(
      *database, outbox, config, [] { return absl::Now(); },
      [&](const absl::Status& status) {
        Show(*process, "storage", status.ok(), status.message());
      });
  ShowKeys(*process, config, engine.keys.credentials());
  if (!damaged.empty()) RETURN_IF_ERROR(TellDamage(*process, *database, outbox, damaged));
  PolicyService policy_service(engine);
  PolicyEnforcementService enforcement_service(engine);
  OperationsService operations_service(engine.journal);
  process->Register(policy_service);
  process->Register(enforcement_service);
  process->Register(operations_service);
  std::unique_ptr<SocketServer> user_socket;
  UserUnlockService user_service(engine.unlocking, [&](const grpc::ServerContext& context) {
    return user_socket->CallerOf(context);
  });
  process->OnShutdown([&] {
    engine.store.Close();
    engine.journal.events().Close();
  });
  outbox.Start();
  engine.enforcement.Start();
  const PeriodicTask pruning([&] { return Prune(engine); });
  RETURN_IF_ERROR(engine.unlocking.Settle());
  engine.unlocking.Start();
  engine.transfers.Start();
  auto listening = SocketServer::Start(UserListener(config), user_service);
  if (listening.ok()) user_socket = *std::move(listening);
  Show(*process, "user-listener", user_socket != nullptr, listening.status().message());
  return process->Serve();
}

}  // namespace
}  // namespace virmo::policy_engine

int main(int argc, char** argv) {
  virmo::config::v1::PolicyEngineConfig config =
      virmo::policy_engine::PolicyEngine::DefaultConfig();
  const virmo::Program program = {
      "policy-engine",
      "Decides what virtual machines may have and do: resources, locks. Management clients set\n"
      "policy, the controller asks for admission, enforces, and reports what is in force."};
  return virmo::RunProgram(argc, argv, program, config,
                           [&] { return virmo::policy_engine::Run(config); });
}
