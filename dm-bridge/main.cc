// SPDX-License-Identifier: Apache-2.0
// dm-bridge: the device's OMA DM client. See README.md.

#include <sys/stat.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/alerts/alert_relay.h"
#include "dm-bridge/client/account_follower.h"
#include "dm-bridge/client/client_set.h"
#include "dm-bridge/dm_bridge_service.h"
#include "dm-bridge/objects/account_object.h"
#include "dm-bridge/objects/account_rights.h"
#include "dm-bridge/objects/standard_objects.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/transport/notification_gate.h"
#include "dm-bridge/transport/notification_http.h"
#include "dm-bridge/transport/notification_listener.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/process.h"
#include "services/runtime/program.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

// Below, not even our own messages have room.
constexpr int kLeastMessageBytes = 2048;

constexpr char kDefaultAccountFile[] = "/etc/virmo/account.textproto";

config::v1::DmBridgeConfig Defaults() {
  config::v1::DmBridgeConfig config;
  config.mutable_listener()->set_address("unix:/run/virmo/dm-bridge.sock");
  config.set_state_directory("/var/lib/virmo/dm-bridge");
  config.mutable_alert_emitter()->set_address("unix:/run/virmo/alert-emitter.sock");
  config.mutable_policy_engine()->set_address("unix:/run/virmo/policy-engine.sock");
  config.mutable_vm_controller()->set_address("unix:/run/virmo/vm-controller.sock");
  config.set_poll_interval_seconds(300);
  config.set_min_poll_interval_seconds(2);
  config.set_encoding("xml");
  config.set_max_message_bytes(65536);
  config.set_max_object_bytes(1048576);
  config.set_manufacturer("VirMO");
  config.set_model("Generic");
  return config;
}

// The folder holds secrets: it is ours alone, also if somebody made it before.
absl::StatusOr<std::unique_ptr<Database>> OpenDatabase(const std::string& directory) {
  RETURN_IF_ERROR(MakeDirectory(directory, 0700));
  if (chmod(directory.c_str(), 0700) != 0) {
    spdlog::warn("folder may be readable by others path={}", directory);
  }
  return Database::Open(
      absl::StrCat(directory, "/dm-bridge.db"),
      {AclStore::GetSchema(), AccountStore::GetSchema(), SettingsStore::GetSchema(),
       ProvisionStore::GetSchema(), TransferStore::GetSchema(), AccountObject::GetSchema()});
}

// A wrong account file does not keep the others, or those known already, from working.
void ImportAccounts(const config::v1::DmBridgeConfig& config, AccountStore& accounts,
                    Process& process) {
  std::vector<std::string> files(config.account_files().begin(), config.account_files().end());
  struct stat info = {};
  if (files.empty() && stat(kDefaultAccountFile, &info) == 0) files = {kDefaultAccountFile};
  for (const std::string& file : files) {
    const absl::Status imported = accounts.Import(file);
    if (imported.ok()) continue;
    spdlog::error("account not taken over file={} cause=\"{}\"", file, imported.message());
    process.SetDegraded(absl::StrCat("account ", file), imported.message());
  }
}

void Report(Process& process, const std::string& service, const absl::Status& status) {
  if (status.ok()) {
    process.ClearDegraded(service);
  } else {
    process.SetDegraded(service, absl::StrCat("not reachable: ", status.message()));
  }
}

// Which server hears of an alert: who asked, else the configured one, else the machine's owner,
// else the first.
std::string Route(const v1::Alert& alert, const config::v1::DmBridgeConfig& config,
                  SettingsStore& settings, DeviceView& view, ClientSet& clients) {
  const std::string& initiator = alert.initiator().server_id();
  if (!initiator.empty()) return clients.Has(initiator) ? initiator : "";
  const auto set = settings.Get("AlertServer", "");
  if (set.ok() && clients.Has(*set)) return *set;
  if (clients.Has(config.alert_server())) return config.alert_server();
  const auto id = VirtualMachineId(alert.virtual_machine());
  const auto vm = id.ok() ? view.GetMachine(*id) : id.status();
  if (vm.ok() && clients.Has((*vm)->owner())) return (*vm)->owner();
  return clients.First();
}

// Config/NotifyUser: the local user learns what became of a server's operation, from the log.
void TellUser(SettingsStore& settings, const v1::OperationEvent& event) {
  const std::string& server = event.metadata().initiator().server_id();
  if (!event.done() || server.empty()) return;
  const auto wanted = settings.Get("NotifyUser", "false");
  if (!wanted.ok() || *wanted != "true") return;
  spdlog::info("notice to the user server={} operation={} target={} result={}", server,
               v1::OperationKind_Name(event.metadata().kind()), event.metadata().target(),
               event.metadata().result_code());
}

absl::Status MountAll(const config::v1::DmBridgeConfig& config, AccountStore& accounts,
                      AccountObject& account_object, DeviceView& view, SettingsStore& settings,
                      ProvisionStore& provisions, TransferStore& transfers, Tree& tree) {
  tree.Mount(MakeDevInfoObject(config, accounts));
  tree.Mount(MakeDevDetailObject(config));
  tree.Mount(account_object.MakeObject());
  tree.Mount(MakeInboxObject());
  tree.Mount(MakeVirmoObject(view, settings, provisions, transfers));
  return absl::OkStatus();
}

// What main makes out of the configuration, in order of dependency.
struct Channels {
  std::shared_ptr<grpc::Channel> alert_emitter, policy_engine, vm_controller;
};

absl::StatusOr<Channels> MakeChannels(const config::v1::DmBridgeConfig& config) {
  Channels channels;
  ASSIGN_OR_RETURN(channels.alert_emitter, MakeChannel(config.alert_emitter()));
  ASSIGN_OR_RETURN(channels.policy_engine, MakeChannel(config.policy_engine()));
  ASSIGN_OR_RETURN(channels.vm_controller, MakeChannel(config.vm_controller()));
  return channels;
}

// What would otherwise be noticed in the middle of a session.
absl::Status CheckConfig(const config::v1::DmBridgeConfig& config) {
  if (config.encoding() != "xml" && config.encoding() != "wbxml") {
    return InvalidField("encoding", absl::StrCat("neither xml nor wbxml: ", config.encoding()));
  }
  const std::string& compression = config.compression();
  if (!compression.empty() && compression != "gzip" && compression != "deflate") {
    return InvalidField("compression", absl::StrCat("neither gzip nor deflate: ", compression));
  }
  if (config.max_message_bytes() < kLeastMessageBytes) {
    return InvalidField("max_message_bytes", absl::StrCat("less than ", kLeastMessageBytes));
  }
  if (config.max_object_bytes() < 1) return InvalidField("max_object_bytes", "less than 1");
  if (config.client_certificate_file().empty() != config.client_key_file().empty()) {
    return InvalidField("client_key_file", "certificate and key are both needed, or neither");
  }
  return absl::OkStatus();
}

// The ways that package #0 comes.
struct Listeners {
  std::unique_ptr<NotificationGate> gate;
  std::unique_ptr<NotificationListener> udp;
  std::unique_ptr<NotificationHttp> http;
};

absl::StatusOr<Listeners> Listen(const config::v1::DmBridgeConfig& config, AccountStore& accounts,
                                 ClientSet& clients) {
  Listeners listeners;
  ASSIGN_OR_RETURN(
      listeners.gate,
      NotificationGate::Open(accounts, [&clients](const NotificationGate::Accepted& accepted) {
        clients.OnNotified(accepted.server_id, {.session_id = accepted.session_id,
                                                .resync_nonce = accepted.resync_nonce,
                                                .ask_user = accepted.ask_user});
      }));
  if (!config.notification_address().empty()) {
    ASSIGN_OR_RETURN(listeners.udp,
                     NotificationListener::Start(config.notification_address(), *listeners.gate));
  }
  if (!config.notification_http_address().empty()) {
    ASSIGN_OR_RETURN(listeners.http, NotificationHttp::Start(config.notification_http_address(),
                                                             *listeners.gate, {}));
  }
  return listeners;
}

// Every object of the process is made here, in order of dependency, and nowhere else.
absl::Status Run(const config::v1::DmBridgeConfig& config) {
  RETURN_IF_ERROR(CheckConfig(config));
  ASSIGN_OR_RETURN(const auto process, Process::Create("dm-bridge", config.listener()));
  ASSIGN_OR_RETURN(const auto database, OpenDatabase(config.state_directory()));
  ASSIGN_OR_RETURN(const auto acls, AclStore::Open(*database));
  AccountStore accounts(*database);
  SettingsStore settings(*database);
  ProvisionStore provisions(*database);
  TransferStore transfers(*database);
  AccountObject account_object(*database, accounts, *acls, OwnDeviceUri());
  ImportAccounts(config, accounts, *process);
  RETURN_IF_ERROR(account_object.Load());
  ASSIGN_OR_RETURN(const Channels channels, MakeChannels(config));
  PromptBoard prompts(config.unattended_prompts());
  TraceFeed trace;
  ClientSet clients;
  DeviceView view(
      channels.vm_controller, channels.policy_engine,
      {.on_service = [&](const std::string& service,
                         const absl::Status& status) { Report(*process, service, status); },
       .on_operation =
           [&](const v1::OperationEvent& event) {
             const absl::Status stored = provisions.OnOperation(event);
             if (!stored.ok()) spdlog::error("outcome not stored cause=\"{}\"", stored.message());
             TellUser(settings, event);
           }});
  Tree tree(*acls);
  RETURN_IF_ERROR(
      MountAll(config, accounts, account_object, view, settings, provisions, transfers, tree));
  AlertRelay alerts(
      channels.alert_emitter,
      {.route =
           [&](const v1::Alert& alert) { return Route(alert, config, settings, view, clients); },
       .on_pending = [&](const std::string& server_id) { clients.OnAlertsPending(server_id); },
       .on_service = [&](const absl::Status& s) { Report(*process, "alert-emitter", s); }});
  // Their sessions end before what they use does.
  const absl::Cleanup end_sessions = [&] { clients.Clear(); };
  ASSIGN_OR_RETURN(const auto known, accounts.List());
  RETURN_IF_ERROR(ApplyAccountRights(known, settings, *acls));
  const auto make_client = [&](const config::v1::DmAccount& account) {
    return std::make_unique<DmClient>(
        account, DmClient::Environment{tree, accounts, alerts, view, prompts, trace, config});
  };
  for (const config::v1::DmAccount& account : known) clients.Add(make_client(account));
  AccountFollower follower(
      clients, {.settle = [&] { tree.AwaitTurn(); },
                .make_client =
                    [&](const config::v1::DmAccount& account) {
                      const auto all = accounts.List();
                      const absl::Status applied =
                          all.ok() ? ApplyAccountRights(*all, settings, *acls) : all.status();
                      if (!applied.ok())
                        spdlog::error("rights not given cause=\"{}\"", applied.message());
                      return make_client(account);
                    },
                .on_gone =
                    [&](const std::string& server_id) {
                      ForgetAccountRights(server_id, settings).IgnoreError();
                    }});
  account_object.SetListener([&](const std::string& server_id, const auto& account) {
    follower.OnAccount(server_id, account);
  });
  const absl::Cleanup stop_following = [&] { account_object.SetListener(nullptr); };
  ASSIGN_OR_RETURN(const Listeners listeners, Listen(config, accounts, clients));
  DmBridgeService service({.clients = clients,
                           .tree = tree,
                           .view = view,
                           .accounts = account_object,
                           .prompts = prompts,
                           .trace = trace,
                           .config = config});
  process->Register(service);
  process->OnShutdown([&] {
    prompts.Close();
    trace.Close();
    clients.Clear();
  });
  return process->Serve();
}

}  // namespace
}  // namespace virmo::dm_bridge

int main(int argc, char** argv) {
  virmo::config::v1::DmBridgeConfig config = virmo::dm_bridge::Defaults();
  const virmo::Program program = {
      .name = "dm-bridge",
      .description =
          "The device's OMA DM client: runs DM sessions with the management servers, "
          "shows them the virtual machines as a management tree, carries out what they "
          "ask for and delivers alerts."};
  return virmo::RunProgram(argc, argv, program, config,
                           [&] { return virmo::dm_bridge::Run(config); });
}
