// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "virmo/v1/virtual_machine.pb.h"

namespace virmo::vm_controller {

// A network interface of a domain.
struct NetworkInterface {
  std::string mac_address;
  std::string source;  // `user`, `bridge:NAME` or `network:NAME`.
  std::string model;   // `virtio`.
  bool link_up = true;
};

// A drive beside the first disk.
struct Drive {
  std::string path;    // A qcow2 file, or an ISO.
  std::string target;  // `vdb`; of a CD `sda`.
  bool is_cd = false;
};

// What a hypervisor needs to know to make a domain. Paths are absolute.
struct DomainSpec {
  std::string id;     // The virtual machine's UUID; the domain's too.
  std::string title;  // The display name.
  int64_t memory_mib = 0;
  int64_t memory_max_mib = 0;  // What it may grow to while it runs; 0: memory_mib.
  int cpu_count = 1;
  int cpu_max = 0;            // Likewise; 0: cpu_count.
  std::string disk_path;      // A qcow2 file.
  std::vector<Drive> drives;  // The others.
  std::string image_digest;
  std::string console_socket;  // The guest's serial port: a unix socket that the driver binds.
  std::vector<NetworkInterface> interfaces;
  // UNSPECIFIED: what suits the host.
  v1::VirtualMachine::Firmware::Kind firmware = v1::VirtualMachine::Firmware::KIND_UNSPECIFIED;
  bool tpm = false;  // Whether it has a virtual TPM 2.0.
};

enum class DomainState { kOff, kSaved, kRunning, kPaused, kCrashed };

// A domain as the hypervisor sees it.
struct Domain {
  DomainSpec spec;
  DomainState state = DomainState::kOff;
  bool ours = false;       // Carries our owner mark.
  int64_t host_pid = 0;    // Of a running one; 0 if the driver cannot tell.
  int64_t memory_mib = 0;  // What it has now; 0 unless running.
  std::string detail;      // Why it is kCrashed.
};

// Whether the channels to a guest are open: network links and the guest agent.
enum class Access { kOpen, kClosed };

// How closing or opening went. NOT_SUPPORTED: this hypervisor cannot.
struct AccessReport {
  absl::Status network;
  absl::Status agent;
};

// Where a start begins.
enum class StartFrom { kBoot, kSavedState };

// Watches over an act that takes long: hears how far it is, and may end it early (CANCELLED).
struct ActWatch {
  std::function<void(int64_t bytes_done, int64_t bytes_total)> on_progress = [](int64_t, int64_t) {
  };
  std::function<bool()> is_cancelled = [] { return false; };
};

// What runs virtual machines: the seam between vm-controller and a hypervisor. Everything is
// named by the virtual machine's UUID.
//
// Every method is idempotent: it succeeds if what it is to bring about is so already. A failure
// means that it is not so; a call whose outcome is unknown (the connection broke) is read back
// before it is answered, or fails as HYPERVISOR_UNAVAILABLE. Other failures: VM_NOT_FOUND,
// NOT_SUPPORTED, INSUFFICIENT_RESOURCES, HYPERVISOR_FAILED with the hypervisor's own words.
// Methods block for as long as the hypervisor needs. Thread-safe.
class Hypervisor {
 public:
  virtual ~Hypervisor() = default;

  // Every domain, ours or not.
  virtual absl::StatusOr<std::vector<Domain>> List() = 0;
  virtual absl::StatusOr<Domain> Get(const std::string& id) = 0;

  // Makes the domain, or changes it to be as `spec` says from its next start on.
  virtual absl::Status Define(const DomainSpec& spec) = 0;

  // Removes it, its saved state included; it must not run. Succeeds if there is none.
  virtual absl::Status Undefine(const std::string& id) = 0;

  // Starts it with its CPUs standing still. kBoot drops any saved state; kSavedState fails and
  // keeps the saved state if it cannot be loaded, and uses it up if it can.
  virtual absl::Status StartPaused(const std::string& id, StartFrom from) = 0;

  // Lets the CPUs of a started domain run, or stands them still.
  virtual absl::Status Run(const std::string& id) = 0;
  virtual absl::Status Pause(const std::string& id) = 0;

  // Asks the guest to power off, and does not wait for it.
  virtual absl::Status RequestShutdown(const std::string& id) = 0;

  // Cuts the power, and drops any saved state: kOff afterwards.
  virtual absl::Status Destroy(const std::string& id) = 0;

  // Saves its state on disk and ends it: kSaved afterwards. On failure, or when it is cancelled,
  // it is as before. Room on the disk is checked first (INSUFFICIENT_RESOURCES). Devices that bar
  // saving are taken out and come back when it runs again.
  virtual absl::Status Save(const std::string& id, const ActWatch& watch) = 0;
  absl::Status Save(const std::string& id) { return Save(id, ActWatch()); }

  // Opens or closes the channels to a started guest.
  virtual AccessReport SetAccess(const std::string& id, Access access) = 0;

  // What follows a hypervisor may lack: NOT_SUPPORTED.

  // Takes a snapshot: of its disk, and of its memory if it is started; it goes on as before.
  virtual absl::Status TakeSnapshot(const std::string& id, const std::string& name);

  // Goes back to a snapshot: it stands still (kPaused) if that holds memory, else it is kOff. A
  // saved state is dropped.
  virtual absl::Status RevertToSnapshot(const std::string& id, const std::string& name);

  // Succeeds if there is none.
  virtual absl::Status DeleteSnapshot(const std::string& id, const std::string& name);

  // Copies the disk of a started domain, as it is at one instant, with all below it, to a new
  // qcow2 file that is there already and empty. The guest goes on meanwhile.
  virtual absl::Status CopyLiveDisk(const std::string& id, const std::string& path,
                                    const ActWatch& watch);

  // Tells a running guest what time it is, by its agent. Waits a few seconds for one to answer.
  virtual absl::Status SetGuestClock(const std::string& id);

  // Tells of host and hypervisor: type, name, version, architecture, memory, processors,
  // accelerator, operations; storage is not known here.
  virtual absl::StatusOr<v1::Host> GetHost() = 0;
};

// Hears what happens at a hypervisor. Called from its threads; must not call it back from there.
class HypervisorObserver {
 public:
  virtual ~HypervisorObserver() = default;

  // Something about this domain changed; Get() tells what.
  virtual void OnDomainChanged(const std::string& id) = 0;

  // A device of this domain came or went.
  virtual void OnDevicesChanged(const std::string& /*id*/) {}

  // The hypervisor answers (again), or does not and why. Everything may have changed meanwhile.
  virtual void OnReachable(bool reachable, const std::string& detail) = 0;
};

}  // namespace virmo::vm_controller
