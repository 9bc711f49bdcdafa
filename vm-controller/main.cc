// SPDX-License-Identifier: Apache-2.0
#include <curl/curl.h>
#include <fcntl.h>
#include <sys/file.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/operations_service.h"
#include "services/runtime/process.h"
#include "services/runtime/program.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "vm-controller/controller.h"
#include "vm-controller/devices/device_map.h"
#include "vm-controller/host_device_service.h"
#include "vm-controller/libvirt/kvm_probe.h"
#include "vm-controller/libvirt/libvirt_devices.h"
#include "vm-controller/libvirt/libvirt_hypervisor.h"
#include "vm-controller/libvirt/libvirt_resources.h"
#include "vm-controller/package_service.h"
#include "vm-controller/policy_client.h"
#include "vm-controller/policy_link.h"
#include "vm-controller/snapshot_service.h"
#include "vm-controller/virtual_machine_service.h"

namespace virmo::vm_controller {
namespace {

using Config = config::v1::VmControllerConfig;

Config Defaults() {
  Config config;
  config.mutable_listener()->set_address("unix:/run/virmo/vm-controller.sock");
  config.set_state_directory("/var/lib/virmo/vm-controller");
  config.mutable_alert_emitter()->set_address("unix:/run/virmo/alert-emitter.sock");
  config.mutable_policy_engine()->set_address("unix:/run/virmo/policy-engine.sock");
  config.set_hypervisor_uri("qemu:///embed");
  config.set_accelerator(Config::ACCELERATOR_AUTO);
  config.set_stop_timeout_seconds(60);
  config.set_max_package_mib(65536);
  config.set_storage_reserve_mib(256);
  config.set_max_operations(4);
#if defined(__x86_64__) || defined(__i386__)
  config.set_bios(true);
#endif
  return config;
}

// What the file did not say and what cannot be a default: lists would be added to.
absl::Status Complete(Config& config) {
  if (config.networks().empty()) config.add_networks()->set_source("user");
  if (config.max_operations() < 1) return InvalidField("max_operations", "must be at least 1");
  if (!absl::StartsWith(config.state_directory(), "/")) {
    return InvalidField("state_directory", "must be an absolute path");
  }
  const std::string socket = MachineFiles(config.state_directory()).ConsoleSocket(NewUuid());
  if (socket.size() > 107) {
    return InvalidField("state_directory",
                        absl::StrCat("is too long: guests' sockets below it would have ",
                                     socket.size(), " characters, of at most 107"));
  }
  return absl::OkStatus();
}

// Where the libvirtd of a URI keeps its run-time files: beside its socket.
std::string SocketDirectory(absl::string_view uri) {
  const size_t at = uri.find("socket=");
  if (at == absl::string_view::npos) return "/run/libvirt";
  const absl::string_view rest = uri.substr(at + 7);
  const absl::string_view path = rest.substr(0, rest.find('&'));
  return std::string(path.substr(0, path.rfind('/')));
}

LibvirtHypervisor::Options HypervisorOptions(const Config& config) {
  LibvirtHypervisor::Options options;
  options.uri = config.hypervisor_uri();
  options.accelerator = config.accelerator();
  options.bios = config.bios();
  options.storage_reserve_mib = config.storage_reserve_mib();
  options.kvm_works = KvmWorks;
  if (absl::StartsWith(options.uri, "qemu:///embed")) {
    const std::string root = absl::StrCat(config.state_directory(), "/libvirt");
    if (options.uri == "qemu:///embed") absl::StrAppend(&options.uri, "?root=", root);
    options.save_directory = absl::StrCat(root, "/lib/qemu/save");
    options.pid_directory = absl::StrCat(root, "/run/qemu");
    options.log_directory = absl::StrCat(root, "/log/qemu");
  } else if (absl::StartsWith(options.uri, "qemu")) {
    options.save_directory = "/var/lib/libvirt/qemu/save";
    options.log_directory = "/var/log/libvirt/qemu";
    options.pid_directory = absl::StrCat(SocketDirectory(options.uri), "/qemu");
  }
  return options;
}

// Shows in health whether something we need answers.
std::function<void(bool, const std::string&)> Degradation(Process& process,
                                                          const std::string& subject) {
  return [&process, subject](bool reachable, const std::string& detail) {
    if (reachable) {
      process.ClearDegraded(subject);
    } else {
      process.SetDegraded(subject, detail.empty() ? "not reachable" : detail);
    }
  };
}

void TellOfDamage(Process& process, Outbox& outbox, const std::string& damage) {
  spdlog::error("database set aside cause=\"{}\"", damage);
  process.SetDegraded("database", damage);
  v1::Alert alert = MakeAlert({}, "DatabaseDamaged", v1::Alert::SEVERITY_CRITICAL, damage);
  alert.set_alert_id(NewUuid());
  (void)outbox.Add(std::move(alert));
}

// Embedded libvirt reads its configuration below its root. Without this line it would want a
// daemon for QEMU's own messages.
absl::Status PrepareEmbedded(const Config& config) {
  if (config.hypervisor_uri() != "qemu:///embed") return absl::OkStatus();
  const std::string root = absl::StrCat(config.state_directory(), "/libvirt");
  RETURN_IF_ERROR(MakeDirectory(root, 0711));
  RETURN_IF_ERROR(MakeDirectory(absl::StrCat(root, "/etc"), 0755));
  const std::string file = absl::StrCat(root, "/etc/qemu.conf");
  if (ReadFile(file).ok()) return absl::OkStatus();  // The integrator's.
  return WriteFileAtomically(file, "stdio_handler = \"file\"\n", 0644);
}

// One process at a time works on a state directory: two would both go on with its operations.
absl::Status LockStateDirectory(const Config& config) {
  const std::string path = absl::StrCat(config.state_directory(), "/lock");
  // Held, never closed: the kernel lets it go when this process ends, however it ends.
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
               absl::StrCat("cannot lock ", path, ": another vm-controller works there"),
               {{"file", path}});
}

absl::Status Serve(Process& process, const Config& config) {
  RETURN_IF_ERROR(Controller::MakeDirectories(config));
  RETURN_IF_ERROR(LockStateDirectory(config));
  RETURN_IF_ERROR(PrepareEmbedded(config));
  ASSIGN_OR_RETURN(config::v1::DeviceMap device_map, ReadDeviceMap(config.device_map_file()));
  std::string damage;
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                   Database::OpenOrSetAside(absl::StrCat(config.state_directory(), "/state.db"),
                                            Controller::Schemas(), &damage));
  ASSIGN_OR_RETURN(const auto alert_channel, MakeChannel(config.alert_emitter()));
  ASSIGN_OR_RETURN(const auto policy_channel, MakeChannel(config.policy_engine()));
  OperationJournal journal(*database);
  Outbox outbox(*database, "vm-controller", alert_channel, Degradation(process, "alert-emitter"));
  if (!damage.empty()) TellOfDamage(process, outbox, damage);
  PolicyClient policy(policy_channel);
  EventLoop loop;
  EventRelay events;
  process.SetDegraded("hypervisor", "not reached yet");
  LibvirtHypervisor hypervisor(HypervisorOptions(config), events);
  LibvirtDevices devices(hypervisor.connection());
  LibvirtResources resources(hypervisor.connection());
  Controller controller({config, *database, journal, outbox, hypervisor, events, policy,
                         Degradation(process, "hypervisor"), AutoStarter::BootId(), &devices,
                         &resources, std::move(device_map)});
  HostDeviceServiceImpl host_devices(controller);
  VirtualMachineServiceImpl service(controller);
  SnapshotServiceImpl snapshots(controller.requests());
  PackageServiceImpl packages(controller);
  OperationsService operations(journal);
  process.Register(service);
  process.Register(snapshots);
  process.Register(packages);
  process.Register(host_devices);
  process.Register(operations);
  process.OnShutdown([&] { controller.Stop(); });
  RETURN_IF_ERROR(controller.Start());
  outbox.Start();
  const PolicyLink link(policy_channel, controller, Degradation(process, "policy-engine"));
  return process.Serve();
}

}  // namespace
}  // namespace virmo::vm_controller

int main(int argc, char** argv) {
  using namespace virmo::vm_controller;  // NOLINT: main has nothing of its own.
  Config config = Defaults();
  const virmo::Program program = {
      "vm-controller",
      "Manages the virtual machines of this device: provisions, starts, stops, suspends, resumes,\n"
      "clones and deletes them by libvirt, and enforces what policy-engine decides."};
  return virmo::RunProgram(argc, argv, program, config, [&]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<virmo::Process> process,
                     virmo::Process::Create("vm-controller", config.listener()));
    RETURN_IF_ERROR(Complete(config));
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return Serve(*process, config);
  });
}
