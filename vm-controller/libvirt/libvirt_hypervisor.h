// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "services/runtime/mutex.h"
#include "virmo/config/v1/vm_controller_config.pb.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/libvirt/connection.h"
#include "vm-controller/libvirt/domain_xml.h"

namespace virmo::vm_controller {

// Virtual machines by libvirt: QEMU, embedded or by a libvirtd, and the test driver.
class LibvirtHypervisor : public Hypervisor {
 public:
  struct Options {
    std::string uri;
    config::v1::VmControllerConfig::Accelerator accelerator =
        config::v1::VmControllerConfig::ACCELERATOR_AUTO;
    bool bios = true;
    // Where the driver writes saved states, and what must stay free there; empty: not checked.
    std::string save_directory;
    int64_t storage_reserve_mib = 0;
    // Where the driver writes a log for each domain; empty: those are left behind.
    std::string log_directory;
    // Where the driver writes pid files; empty: pids are not told.
    std::string pid_directory;
    // Whether KVM works here with this emulator; asked at most once.
    std::function<bool(const std::string& emulator)> kvm_works;
  };

  // Connects in the background. `observer` and an EventLoop must outlive it.
  LibvirtHypervisor(Options options, HypervisorObserver& observer);

  absl::StatusOr<std::vector<Domain>> List() override;
  absl::StatusOr<Domain> Get(const std::string& id) override;
  absl::Status Define(const DomainSpec& spec) override;
  absl::Status Undefine(const std::string& id) override;
  absl::Status StartPaused(const std::string& id, StartFrom from) override;
  absl::Status Run(const std::string& id) override;
  absl::Status Pause(const std::string& id) override;
  absl::Status RequestShutdown(const std::string& id) override;
  absl::Status Destroy(const std::string& id) override;
  using Hypervisor::Save;
  absl::Status Save(const std::string& id, const ActWatch& watch) override;
  AccessReport SetAccess(const std::string& id, Access access) override;
  absl::Status TakeSnapshot(const std::string& id, const std::string& name) override;
  absl::Status RevertToSnapshot(const std::string& id, const std::string& name) override;
  absl::Status DeleteSnapshot(const std::string& id, const std::string& name) override;
  absl::Status CopyLiveDisk(const std::string& id, const std::string& path,
                            const ActWatch& watch) override;
  absl::Status SetGuestClock(const std::string& id) override;
  absl::StatusOr<v1::Host> GetHost() override;

  // For the ports beside it.
  Connection& connection() { return connection_; }

 private:
  using Call = std::function<int(virDomainPtr)>;
  using Goal = std::function<bool(DomainState)>;

  absl::Status Act(const std::string& what, const std::string& id, const Goal& goal,
                   const Call& call);
  absl::Status ReadBack(const std::string& id, const Goal& goal, const absl::Status& error);
  absl::Status Failed(virConnectPtr connect, const std::string& action);
  absl::StatusOr<Domain> Describe(virDomainPtr domain);
  absl::Status SetLinks(virDomainPtr domain, Access access);
  absl::Status SetAgent(virDomainPtr domain, Access access);
  absl::Status WithDomain(const std::string& what, const std::string& id,
                          const std::function<absl::Status(virDomainPtr)>& act);
  absl::Status CheckSaveRoom(const std::string& id);
  int DropSavedState(virDomainPtr domain);
  void RemoveLog(const std::string& name);
  absl::StatusOr<Platform> FindPlatform();

  const Options options_;
  Connection connection_;
  Mutex mutex_;
  std::optional<Platform> platform_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::vm_controller
