// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/libvirt_hypervisor.h"

#include <libvirt/virterror.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/handles.h"
#include "vm-controller/libvirt/libvirt_error.h"
#include "vm-controller/libvirt/parking.h"
#include "vm-controller/libvirt/platform.h"
#include "vm-controller/wipe_file.h"

namespace virmo::vm_controller {
namespace {

// How long a call whose connection broke waits for the next one, to read back what it did.
constexpr absl::Duration kReadBackTimeout = absl::Seconds(10);

bool IsStarted(DomainState state) {
  return state == DomainState::kRunning || state == DomainState::kPaused;
}
bool IsRunning(DomainState state) { return state == DomainState::kRunning; }
bool IsPaused(DomainState state) { return state == DomainState::kPaused; }
bool IsSaved(DomainState state) { return state == DomainState::kSaved; }
bool IsOff(DomainState state) {
  return state == DomainState::kOff || state == DomainState::kCrashed;
}

DomainState StateOf(virDomainPtr domain, std::string* detail) {
  int state = 0, reason = 0;
  virDomainGetState(domain, &state, &reason, 0);
  const bool crashed = state == VIR_DOMAIN_CRASHED ||
                       (state == VIR_DOMAIN_SHUTOFF && (reason == VIR_DOMAIN_SHUTOFF_CRASHED ||
                                                        reason == VIR_DOMAIN_SHUTOFF_FAILED));
  if (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_IOERROR) {
    *detail = "stands still after an I/O error on its disk";
  }
  if (state == VIR_DOMAIN_PAUSED || state == VIR_DOMAIN_PMSUSPENDED) return DomainState::kPaused;
  if (state != VIR_DOMAIN_SHUTOFF && !crashed) return DomainState::kRunning;
  if (virDomainHasManagedSaveImage(domain, 0) == 1) {
    if (IsTestDriver(domain)) return DomainState::kSaved;
    // A save that broke off together with its guest leaves a file that cannot be resumed.
    if (!TakeText(virDomainManagedSaveGetXMLDesc(domain, 0)).empty()) return DomainState::kSaved;
    *detail = "its guest ended while its state was being saved";
    return DomainState::kCrashed;
  }
  if (!crashed) return DomainState::kOff;
  *detail = "its process ended unexpectedly";
  return DomainState::kCrashed;
}

// A start without PAUSED, which the test driver lacks, followed by a pause.
int StartAndPause(virDomainPtr domain) {
  return virDomainCreate(domain) == 0 ? virDomainSuspend(domain) : -1;
}

absl::Status Unsupported(const std::string& what) {
  return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED, absl::StrCat("this hypervisor cannot ", what));
}

}  // namespace

LibvirtHypervisor::LibvirtHypervisor(Options options, HypervisorObserver& observer)
    : options_(std::move(options)), connection_(options_.uri, observer) {}

absl::Status LibvirtHypervisor::Failed(virConnectPtr connect, const std::string& action) {
  const absl::Status status = LibvirtError(action);
  if (ReasonOf(status) != v1::ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE) return status;
  if (virConnectIsAlive(connect) != 1) {
    connection_.Suspect();
    return status;
  }
  // Something behind the hypervisor could not be reached, a log daemon say.
  return Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED, std::string(status.message()));
}

// Does `call` unless `goal` is reached; a failure counts only if the goal is not reached after
// it, since libvirt answers with an error where it succeeded (a broken connection, a race with
// an event).
absl::Status LibvirtHypervisor::Act(const std::string& what, const std::string& id,
                                    const Goal& goal, const Call& call) {
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  const std::string action = absl::StrCat(what, " domain ", DomainName(id));
  const DomainPtr domain(virDomainLookupByUUIDString(connect.get(), id.c_str()));
  if (domain == nullptr) return Failed(connect.get(), action);
  std::string ignored;
  if (goal(StateOf(domain.get(), &ignored))) return absl::OkStatus();
  if (call(domain.get()) == 0) return absl::OkStatus();
  return ReadBack(id, goal, Failed(connect.get(), action));
}

absl::Status LibvirtHypervisor::ReadBack(const std::string& id, const Goal& goal,
                                         const absl::Status& error) {
  const absl::StatusOr<ConnectPtr> connect = connection_.Await(kReadBackTimeout);
  if (!connect.ok()) return connect.status();
  const DomainPtr domain(virDomainLookupByUUIDString(connect->get(), id.c_str()));
  if (domain == nullptr) return error;
  std::string ignored;
  return goal(StateOf(domain.get(), &ignored)) ? absl::OkStatus() : error;
}

absl::StatusOr<Domain> LibvirtHypervisor::Describe(virDomainPtr handle) {
  char* xml = virDomainGetXMLDesc(handle, 0);
  if (xml == nullptr) return Failed(virDomainGetConnect(handle), "describe a domain");
  ASSIGN_OR_RETURN(Domain domain, ReadDomainXml(TakeText(xml)));
  domain.state = StateOf(handle, &domain.detail);
  if (!IsStarted(domain.state)) {
    domain.memory_mib = 0;
    return domain;
  }
  if (options_.pid_directory.empty()) return domain;
  const absl::StatusOr<std::string> pid =
      ReadFile(absl::StrCat(options_.pid_directory, "/", virDomainGetName(handle), ".pid"), 64);
  if (pid.ok()) (void)absl::SimpleAtoi(*pid, &domain.host_pid);
  return domain;
}

absl::StatusOr<std::vector<Domain>> LibvirtHypervisor::List() {
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  virDomainPtr* handles = nullptr;
  const int count = virConnectListAllDomains(connect.get(), &handles, 0);
  if (count < 0) return Failed(connect.get(), "list domains");
  std::vector<Domain> domains;
  absl::Status status;
  for (int i = 0; i < count; ++i) {
    const DomainPtr handle(handles[i]);
    absl::StatusOr<Domain> domain = Describe(handle.get());
    // One may be undefined while we look; any other failure makes the list unfit to rely on.
    if (domain.ok()) {
      domains.push_back(*std::move(domain));
    } else if (ReasonOf(domain.status()) != v1::ErrorInfo::REASON_VM_NOT_FOUND) {
      status = domain.status();
    }
  }
  free(handles);
  RETURN_IF_ERROR(status);
  return domains;
}

absl::StatusOr<Domain> LibvirtHypervisor::Get(const std::string& id) {
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  const DomainPtr domain(virDomainLookupByUUIDString(connect.get(), id.c_str()));
  if (domain == nullptr) {
    return Failed(connect.get(), absl::StrCat("find domain ", DomainName(id)));
  }
  return Describe(domain.get());
}

absl::StatusOr<Platform> LibvirtHypervisor::FindPlatform() {
  MutexLock lock(mutex_);
  if (platform_) return *platform_;
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  ASSIGN_OR_RETURN(Platform platform, ReadPlatform(connect.get()));
  platform.uefi = !options_.bios && platform.domain_type != "test";
  using Config = config::v1::VmControllerConfig;
  const bool kvm = platform.domain_type == "kvm";
  if (options_.accelerator == Config::ACCELERATOR_KVM && !kvm) return Unsupported("use KVM");
  if (kvm && (options_.accelerator == Config::ACCELERATOR_TCG ||
              (options_.accelerator != Config::ACCELERATOR_KVM &&
               !(options_.kvm_works && options_.kvm_works(platform.emulator))))) {
    platform.domain_type = "qemu";
  }
  platform_ = platform;
  return platform;
}

absl::Status LibvirtHypervisor::Define(const DomainSpec& spec) {
  ASSIGN_OR_RETURN(const Platform platform, FindPlatform());
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  const DomainPtr domain(virDomainDefineXML(connect.get(), WriteDomainXml(spec, platform).c_str()));
  if (domain != nullptr) return absl::OkStatus();
  return Failed(connect.get(), absl::StrCat("define domain ", DomainName(spec.id)));
}

absl::Status LibvirtHypervisor::Undefine(const std::string& id) {
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  const DomainPtr domain(virDomainLookupByUUIDString(connect.get(), id.c_str()));
  const auto gone = [&](const absl::Status& status) {
    return ReasonOf(status) == v1::ErrorInfo::REASON_VM_NOT_FOUND ? absl::OkStatus() : status;
  };
  if (domain == nullptr) return gone(Failed(connect.get(), "find a domain"));
  unsigned flags = VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA;
  if (!IsTestDriver(domain.get())) {
    flags |= VIR_DOMAIN_UNDEFINE_NVRAM | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA |
             VIR_DOMAIN_UNDEFINE_TPM;
  }
  (void)DropSavedState(domain.get());  // Undefining removes what is left.
  if (virDomainUndefineFlags(domain.get(), flags) == 0) {
    RemoveLog(DomainName(id));
    return absl::OkStatus();
  }
  return gone(Failed(connect.get(), absl::StrCat("undefine domain ", DomainName(id))));
}

void LibvirtHypervisor::RemoveLog(const std::string& name) {
  if (options_.log_directory.empty()) return;
  (void)WipeFile(absl::StrCat(options_.log_directory, "/", name, ".log"));
}

absl::Status LibvirtHypervisor::StartPaused(const std::string& id, StartFrom from) {
  if (from == StartFrom::kSavedState) {
    ASSIGN_OR_RETURN(const Domain domain, Get(id));
    if (IsStarted(domain.state)) return absl::OkStatus();
    if (!IsSaved(domain.state)) {
      return Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED,
                   absl::StrCat("domain ", DomainName(id), " has no saved state"));
    }
  }
  return Act("start", id, IsStarted, [&](virDomainPtr domain) {
    const bool saved = virDomainHasManagedSaveImage(domain, 0) == 1;
    if (from == StartFrom::kBoot && saved && DropSavedState(domain) != 0) return -1;
    if (IsTestDriver(domain)) return StartAndPause(domain);
    return virDomainCreateWithFlags(domain, VIR_DOMAIN_START_PAUSED);
  });
}

absl::Status LibvirtHypervisor::Run(const std::string& id) {
  return Act("run", id, IsRunning, [](virDomainPtr domain) {
    if (virDomainResume(domain) != 0) return -1;
    if (!IsTestDriver(domain)) ReturnDevices(domain);
    return 0;
  });
}

absl::Status LibvirtHypervisor::Pause(const std::string& id) {
  return Act("pause", id, IsPaused, virDomainSuspend);
}

absl::Status LibvirtHypervisor::RequestShutdown(const std::string& id) {
  return Act("shut down", id, IsOff, virDomainShutdown);
}

absl::Status LibvirtHypervisor::Destroy(const std::string& id) {
  return Act("destroy", id, IsOff, [this](virDomainPtr domain) {
    if (virDomainIsActive(domain) == 1 && virDomainDestroy(domain) != 0) return -1;
    return DropSavedState(domain);
  });
}

absl::Status LibvirtHypervisor::SetLinks(virDomainPtr domain, Access access) {
  const std::string xml = TakeText(virDomainGetXMLDesc(domain, 0));
  for (const std::string& nic : InterfacesWithLink(xml, access == Access::kOpen)) {
    if (virDomainUpdateDeviceFlags(domain, nic.c_str(), VIR_DOMAIN_AFFECT_LIVE) != 0) {
      return Failed(virDomainGetConnect(domain), "set the link of a network interface");
    }
  }
  return absl::OkStatus();
}

absl::Status LibvirtHypervisor::SetAgent(virDomainPtr domain, Access access) {
  const std::string xml = TakeText(virDomainGetXMLDesc(domain, 0));
  const std::string channel = AgentChannel(xml);
  const bool attached = !channel.empty();
  if (attached == (access == Access::kOpen)) return absl::OkStatus();
  const int done = attached
                       ? virDomainDetachDeviceFlags(domain, channel.c_str(), VIR_DOMAIN_AFFECT_LIVE)
                       : virDomainAttachDeviceFlags(domain, NewAgentChannel(xml).c_str(),
                                                    VIR_DOMAIN_AFFECT_LIVE);
  if (done == 0) return absl::OkStatus();
  return Failed(virDomainGetConnect(domain),
                attached ? "detach the guest agent" : "attach the guest agent");
}

AccessReport LibvirtHypervisor::SetAccess(const std::string& id, Access access) {
  const absl::StatusOr<ConnectPtr> connect = connection_.Get();
  if (!connect.ok()) return {connect.status(), connect.status()};
  const DomainPtr domain(virDomainLookupByUUIDString(connect->get(), id.c_str()));
  if (domain == nullptr) {
    const absl::Status status =
        Failed(connect->get(), absl::StrCat("find domain ", DomainName(id)));
    return {status, status};
  }
  if (IsTestDriver(domain.get())) {
    const absl::Status status = Unsupported("change devices of a running virtual machine");
    return {status, status};
  }
  return {SetLinks(domain.get(), access), SetAgent(domain.get(), access)};
}

absl::StatusOr<v1::Host> LibvirtHypervisor::GetHost() {
  ASSIGN_OR_RETURN(const Platform platform, FindPlatform());
  ASSIGN_OR_RETURN(const ConnectPtr connect, connection_.Get());
  return DescribeHost(connect.get(), platform);
}

}  // namespace virmo::vm_controller
