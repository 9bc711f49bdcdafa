// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/controller.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

// The certificates that packages' signatures must lead to. A file that cannot be read is not an
// empty one: then no signature is good.
std::string AnchorsOf(const config::v1::VmControllerConfig& config) {
  if (config.package_ca_file().empty()) return "";
  const absl::StatusOr<std::string> anchors = ReadFile(config.package_ca_file());
  if (anchors.ok() && !anchors->empty()) return *anchors;
  spdlog::error("no package can be trusted file={} cause=\"{}\"", config.package_ca_file(),
                anchors.ok() ? "empty" : std::string(anchors.status().message()));
  return "unreadable";
}

Fetcher::Options FetcherOptions(const config::v1::VmControllerConfig& config) {
  Fetcher::Options options;
  options.ca_file = config.download_ca_file();
  options.package_directories = {config.package_directories().begin(),
                                 config.package_directories().end()};
  return options;
}

}  // namespace

void EventRelay::Listen(Target target) {
  MutexLock lock(mutex_);
  target_ = std::move(target);
  worker_ = std::make_unique<WorkerPool>(1);
  if (!reachable_) return;
  worker_->Run(
      "", [call = target_->on_reachable, state = *reachable_] { call(state.first, state.second); });
}

void EventRelay::Silence() {
  std::unique_ptr<WorkerPool> worker;
  {
    MutexLock lock(mutex_);
    worker = std::move(worker_);
    target_.reset();
  }
}

void EventRelay::OnDomainChanged(const std::string& id) {
  MutexLock lock(mutex_);
  if (!target_) return;  // Everything is looked at when somebody begins to listen.
  worker_->Run("", [call = target_->on_domain_changed, id] { call(id); });
}

void EventRelay::OnDevicesChanged(const std::string& id) {
  MutexLock lock(mutex_);
  if (!target_) return;
  worker_->Run("", [call = target_->on_devices_changed, id] { call(id); });
}

void EventRelay::OnReachable(bool reachable, const std::string& detail) {
  MutexLock lock(mutex_);
  reachable_ = {reachable, detail};
  if (!target_) return;
  worker_->Run("", [call = target_->on_reachable, reachable, detail] { call(reachable, detail); });
}

std::vector<Schema> Controller::Schemas() {
  return {OperationJournal::GetSchema(), Outbox::GetSchema(),        MachineStore::GetSchema(),
          ImageStore::GetSchema(),       SnapshotStore::GetSchema(), DiskLayers::GetSchema(),
          AutoStarter::GetSchema()};
}

absl::Status Controller::MakeDirectories(const config::v1::VmControllerConfig& config) {
  const MachineFiles files(config.state_directory());
  RETURN_IF_ERROR(MakeDirectory(config.state_directory(), 0711));
  // It may have been made before, closed.
  chmod(config.state_directory().c_str(), 0711);
  RETURN_IF_ERROR(MakeDirectory(files.Root(), 0711));
  return MakeDirectory(files.Images(), 0711);
}

Controller::Controller(const Parts& parts)
    : parts_(parts),
      files_(parts.config.state_directory()),
      store_(parts.database),
      machines_(parts.database, store_),
      consoles_(files_),
      images_(parts.database, Fetcher(FetcherOptions(parts.config)),
              {files_.Images(), parts.config.max_package_mib(), parts.config.storage_reserve_mib(),
               parts.config.image_cache_mib(), AnchorsOf(parts.config)}),
      snapshots_(parts.database),
      layers_(parts.database, files_),
      errands_(1),
      host_devices_({parts.device_map}),
      shop_{parts.config, files_,    parts.journal, machines_, parts.hypervisor, parts.policy,
            images_,      consoles_, snapshots_,    layers_,   errands_,         MakePolicyParts()},
      enforcer_(machines_, parts.hypervisor, parts.policy, consoles_,
                {[this](const std::string& id, const std::string& request_id) {
                   return Save(v1::OPERATION_KIND_SUSPEND, id, request_id);
                 },
                 [this](const std::string& id, const std::string& request_id) {
                   return Save(v1::OPERATION_KIND_RESUME, id, request_id);
                 },
                 [this](const std::string& id, const std::string& request_id) {
                   return Wipe(id, request_id);
                 }},
                shop_.parts),
      reconciler_(parts.database, machines_, parts.hypervisor, parts.outbox, consoles_,
                  [this](const std::string& id) { enforcer_.Schedule(id); }),
      reporter_(machines_, parts.policy, [this] { return DescribeHost(); }),
      auto_starter_(parts.database, machines_, parts.boot_id,
                    [this](const std::string& id, const std::string& request_id) {
                      return Start(id, request_id);
                    }),
      runner_(shop_, parts.database, parts.outbox,
              [this](const std::string& id) {
                reconciler_.Observe(id);
                enforcer_.Schedule(id);
                StartWithHost();
              }),
      requests_(shop_, parts.database, reporter_, runner_) {
  machines_.OnChanged([this](const std::string& id) {
    reporter_.MarkChanged(id);
    if (peripherals_) peripherals_->OnMachineChanged(id);
  });
}

PolicyParts Controller::MakePolicyParts() {
  PolicyParts parts;
  if (parts_.devices != nullptr) {
    peripherals_.emplace(
        Peripherals::Parts{machines_, *parts_.devices, host_devices_, parts_.outbox,
                           [this](const std::string& id) { enforcer_.Schedule(id); }});
    parts.push_back(&*peripherals_);
    sharing_.emplace(*parts_.devices);
    parts.push_back(&*sharing_);
  }
  if (parts_.devices != nullptr && parts_.resources != nullptr) {
    resources_.emplace(Resources::Parts{machines_, *parts_.resources, *parts_.devices});
    parts.push_back(&*resources_);
  }
  return parts;
}

Controller::~Controller() {
  Stop();
  parts_.events.Silence();
  host_devices_.Stop();
  // They make requests, which go before them.
  auto_starter_.Stop();
  enforcer_.Stop();
}

absl::Status Controller::Start() {
  RETURN_IF_ERROR(parts_.journal.Prune());
  // Before anything else: what was locked when we ended admits nobody to its console.
  enforcer_.ScheduleAll();
  parts_.events.Listen(
      {[this](const std::string& id) { reconciler_.Observe(id); },
       [this](bool reachable, const std::string& detail) { OnReachable(reachable, detail); },
       [this](const std::string& id) { enforcer_.Schedule(id); }});
  host_devices_.Start([this] {
    if (peripherals_) peripherals_->OnHostChanged();
  });
  return runner_.Recover();
}

void Controller::Stop() {
  runner_.Stop();
  machines_.events().Close();
  parts_.journal.events().Close();
  consoles_.Close();
  host_devices_.Close();
}

void Controller::OnReachable(bool reachable, const std::string& detail) {
  if (reachable) reconciler_.ObserveAll();
  if (reachable) reporter_.HostChanged();
  machines_.SetReachable(reachable, detail);
  parts_.on_reachable(reachable, detail);
  if (!reachable) return spdlog::warn("lost the hypervisor cause=\"{}\"", detail);
  enforcer_.ScheduleAll();
  hypervisor_known_ = true;
  StartWithHost();
}

void Controller::OnPolicy(const v1::EffectivePolicy& policy) {
  const absl::Status status = store_.PutPolicy(policy);
  if (!status.ok()) {
    spdlog::warn("refused a policy vm={} cause=\"{}\"", policy.virtual_machine(), status.message());
    return;
  }
  const absl::StatusOr<std::string> id = VirtualMachineId(policy.virtual_machine());
  if (!id.ok() || !store_.Get(*id).ok()) return;
  // policy-engine waits to hear that it is stored: it counts the user's attempts to unlock.
  reporter_.MarkChanged(*id);
  enforcer_.Schedule(*id);
}

void Controller::OnPolicyEngineConnected() { reporter_.WantFull(); }

void Controller::OnPoliciesSynchronized() {
  enforcer_.ScheduleAll();
  policies_known_ = true;
  StartWithHost();
}

void Controller::StartWithHost() {
  if (hypervisor_known_ && policies_known_) auto_starter_.Run();
}

absl::Status Controller::Start(const std::string& id, const std::string& request_id) {
  Requests::Change change;
  change.kind = v1::OPERATION_KIND_START;
  change.name = VirtualMachineName(id);
  change.request_id = request_id;
  v1::StartVirtualMachineRequest request;
  request.set_name(change.name);
  request.set_request_id(request_id);
  return requests_.Accept(change, request).status();
}

absl::Status Controller::Save(v1::OperationKind kind, const std::string& id,
                              const std::string& request_id) {
  Requests::Change change;
  change.kind = kind;
  change.name = VirtualMachineName(id);
  change.request_id = request_id;
  v1::SuspendVirtualMachineRequest suspend;
  v1::ResumeVirtualMachineRequest resume;
  suspend.set_name(change.name);
  suspend.set_request_id(request_id);
  resume.set_name(change.name);
  resume.set_request_id(request_id);
  const google::protobuf::Message& request = kind == v1::OPERATION_KIND_SUSPEND
                                                 ? static_cast<google::protobuf::Message&>(suspend)
                                                 : static_cast<google::protobuf::Message&>(resume);
  ASSIGN_OR_RETURN(const google::longrunning::Operation operation,
                   requests_.Accept(change, request));
  return operation.has_error() ? FromRpc(operation.error()) : absl::OkStatus();
}

absl::Status Controller::Wipe(const std::string& id, const std::string& request_id) {
  v1::DeleteVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  request.set_request_id(request_id);
  request.set_force(true);
  Requests::Change change;
  change.kind = v1::OPERATION_KIND_DELETE;
  change.name = request.name();
  change.request_id = request_id;
  change.force = true;
  const auto operation = requests_.Accept(change, request);
  if (!operation.ok()) return operation.status();
  return operation->has_error() ? FromRpc(operation->error()) : absl::OkStatus();
}

v1::Host Controller::DescribeHost() {
  const absl::StatusOr<v1::Host> asked = parts_.hypervisor.GetHost();
  MutexLock lock(mutex_);
  if (asked.ok()) host_ = *asked;
  host_.set_reachable(asked.ok());
  host_.set_detail(std::string(asked.status().message()));
  if (asked.ok() && sharing_) {
    const auto& networks = parts_.config.networks();
    const bool only_user = std::all_of(networks.begin(), networks.end(), [](const auto& network) {
      return network.source().empty() || network.source() == "user";
    });
    for (const v1::OperationSupport& ability : SharingAbilities(only_user)) {
      *host_.add_operations() = ability;
    }
  }
  host_.set_max_virtual_machines(parts_.config.max_virtual_machines());
  struct statvfs info;
  if (statvfs(files_.Root().c_str(), &info) == 0) {
    const auto mib = [&](fsblkcnt_t blocks) {
      return static_cast<int64_t>(blocks) * static_cast<int64_t>(info.f_frsize) / (1 << 20);
    };
    host_.set_storage_total_mib(mib(info.f_blocks));
    host_.set_storage_free_mib(mib(info.f_bavail));
  }
  return host_;
}

}  // namespace virmo::vm_controller
