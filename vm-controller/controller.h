// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "services/runtime/journal.h"
#include "services/runtime/outbox.h"
#include "services/runtime/sqlite.h"
#include "services/runtime/worker_pool.h"
#include "vm-controller/auto_starter.h"
#include "vm-controller/console_hub.h"
#include "vm-controller/devices/host_devices.h"
#include "vm-controller/devices/peripherals.h"
#include "vm-controller/disk_layers.h"
#include "vm-controller/hypervisor.h"
#include "vm-controller/image/image_store.h"
#include "vm-controller/machines.h"
#include "vm-controller/operation_runner.h"
#include "vm-controller/policy_enforcer.h"
#include "vm-controller/policy_reporter.h"
#include "vm-controller/reconciler.h"
#include "vm-controller/requests.h"
#include "vm-controller/resources/resources.h"
#include "vm-controller/sharing/sharing.h"
#include "vm-controller/snapshot_store.h"

namespace virmo::vm_controller {

// Takes a hypervisor's events from its threads to ours. It is made before the hypervisor, and
// keeps what it hears until somebody listens.
class EventRelay : public HypervisorObserver {
 public:
  struct Target {
    std::function<void(const std::string& id)> on_domain_changed;
    std::function<void(bool reachable, const std::string& detail)> on_reachable;
    std::function<void(const std::string& id)> on_devices_changed;
  };

  // Tells `target` from now on, on a thread of its own, and at once whether the hypervisor
  // answers.
  void Listen(Target target);

  // Tells nobody any more; when it returns, no call is under way.
  void Silence();

  void OnDomainChanged(const std::string& id) override;
  void OnDevicesChanged(const std::string& id) override;
  void OnReachable(bool reachable, const std::string& detail) override;

 private:
  Mutex mutex_;
  std::optional<Target> target_ ABSL_GUARDED_BY(mutex_);
  std::optional<std::pair<bool, std::string>> reachable_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<WorkerPool> worker_ ABSL_GUARDED_BY(mutex_);
};

// Everything between the gRPC service and the hypervisor, put together.
class Controller {
 public:
  // What a controller is made of; all outlive it.
  struct Parts {
    const config::v1::VmControllerConfig& config;
    Database& database;
    OperationJournal& journal;
    Outbox& outbox;
    Hypervisor& hypervisor;
    EventRelay& events;
    PolicyEngine& policy;
    // Told when the hypervisor comes and goes.
    std::function<void(bool reachable, const std::string& detail)> on_reachable;
    // AutoStarter::BootId().
    std::string boot_id;
    // What the hypervisor can do beside; nullptr: it cannot.
    DevicePort* devices = nullptr;
    ResourcePort* resources = nullptr;
    // The integrator's map of host devices.
    config::v1::DeviceMap device_map = {};
  };

  // The schemas its database needs.
  static std::vector<Schema> Schemas();

  // Makes the folders it works in. The first is open to QEMU's user to pass through.
  static absl::Status MakeDirectories(const config::v1::VmControllerConfig& config);

  explicit Controller(const Parts& parts);
  ~Controller();
  Controller(const Controller&) = delete;
  Controller& operator=(const Controller&) = delete;

  // Listens to the hypervisor, and goes on with unfinished operations.
  absl::Status Start();

  // Ends streams and stops operations at their next step; for shutdown.
  void Stop();

  // policy-engine's stream.
  void OnPolicy(const v1::EffectivePolicy& policy);
  void OnPolicyEngineConnected();
  void OnPoliciesSynchronized();

  v1::Host DescribeHost();

  Requests& requests() { return requests_; }
  Machines& machines() { return machines_; }
  ConsoleHub& consoles() { return consoles_; }
  ImageStore& images() { return images_; }
  const config::v1::VmControllerConfig& config() const { return parts_.config; }
  HostDevices& host_devices() { return host_devices_; }
  OperationJournal& journal() { return parts_.journal; }

 private:
  PolicyParts MakePolicyParts();
  void OnReachable(bool reachable, const std::string& detail);
  absl::Status Start(const std::string& id, const std::string& request_id);
  void StartWithHost();
  absl::Status Wipe(const std::string& id, const std::string& request_id);
  absl::Status Save(v1::OperationKind kind, const std::string& id, const std::string& request_id);

  const Parts parts_;
  const MachineFiles files_;
  MachineStore store_;
  Machines machines_;
  ConsoleHub consoles_;
  ImageStore images_;
  SnapshotStore snapshots_;
  DiskLayers layers_;
  WorkerPool errands_;
  HostDevices host_devices_;
  // If the hypervisor has their ports.
  std::optional<Peripherals> peripherals_;
  std::optional<Sharing> sharing_;
  std::optional<Resources> resources_;
  Workshop shop_;
  Mutex mutex_;
  v1::Host host_ ABSL_GUARDED_BY(mutex_);
  PolicyEnforcer enforcer_;
  Reconciler reconciler_;
  PolicyReporter reporter_;
  // Whether both have been heard of: what starts with the host needs them.
  std::atomic<bool> hypervisor_known_ = false;
  std::atomic<bool> policies_known_ = false;
  AutoStarter auto_starter_;
  OperationRunner runner_;
  Requests requests_;
};

}  // namespace virmo::vm_controller
