// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "google/longrunning/operations.grpc.pb.h"
#include "google/protobuf/message.h"
#include "tests/support/child.h"
#include "virmo/v1/alert_service.grpc.pb.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"
#include "virmo/v1/fleet_service.grpc.pb.h"
#include "virmo/v1/image_service.grpc.pb.h"
#include "virmo/v1/policy_service.grpc.pb.h"
#include "virmo/v1/process_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo::testing_support {

// All of VirMO on this machine, as real processes in a folder of its own: the server, one device
// enrolled with it, and the device's four processes. Each can be killed and started again alone.
class Stack {
 public:
  static constexpr char kDevice[] = "devices/d1";
  static constexpr char kAlertEmitter[] = "alert-emitter";
  static constexpr char kPolicyEngine[] = "policy-engine";
  static constexpr char kVmController[] = "vm-controller";
  static constexpr char kDmBridge[] = "dm-bridge";
  static constexpr char kServer[] = "virmo-server";

  struct Options {
    std::string hypervisor_uri = "qemu:///embed";
    // Text added to the configuration of a process, by its name.
    std::map<std::string, std::string> extra_configuration;
  };

  // Writes the configurations; starts nothing.
  explicit Stack(const Options& options);

  // Stops every process and removes the folder. Virtual machines are destroyed.
  ~Stack();
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Starts everything, enrols the device, and waits until all are healthy and the device has had
  // its first session.
  void StartAll();

  // Starts one process. `fault` is the fault point at which it is to die, if any.
  void Start(const std::string& process, const std::string& fault = "");
  void Kill9(const std::string& process);
  void Terminate(const std::string& process);
  bool IsRunning(const std::string& process);
  pid_t PidOf(const std::string& process);

  // Enrols the device, and puts its account where dm-bridge finds it.
  void Enrol();

  // Waits until the process answers and calls itself healthy.
  void AwaitHealthy(const std::string& process);

  std::string Directory() const { return directory_; }
  std::string SocketOf(const std::string& process) const;
  std::string LogOf(const std::string& process) const;

  v1::FleetService::Stub& fleet() { return *fleet_; }
  v1::ImageService::Stub& images() { return *images_; }
  v1::VirtualMachineService::Stub& vms() { return *vms_; }
  google::longrunning::Operations::Stub& operations() { return *operations_; }
  v1::PolicyService::Stub& policy() { return *policy_; }
  v1::AlertService::Stub& alerts() { return *alerts_; }
  v1::DmBridgeService::Stub& bridge() { return *bridge_; }

  // Uploads a file to the server's library.
  v1::Image Upload(const std::string& path, const std::string& id);

  // Queues a command; the test fails if it is refused.
  v1::Command Queue(const v1::Action& action);

  // The command as it is now.
  v1::Command Get(const v1::Command& command);

  // Waits until it has ended: CONFIRMED, FAILED or CANCELLED.
  v1::Command AwaitEnd(const v1::Command& command, absl::Duration timeout = absl::Seconds(60));

  // Queue and AwaitEnd; the test fails if it does not end CONFIRMED.
  v1::Command Do(const v1::Action& action);

  // The virtual machine as the controller tells, whatever it takes to reach it.
  v1::VirtualMachine Vm(const std::string& id);

  // Alerts that the server has, oldest first.
  std::vector<v1::DeviceAlert> Alerts();

 private:
  void WriteConfiguration(const std::string& process, const google::protobuf::Message& config,
                          const std::string& extra);
  void WriteConfigurations(const Options& options);
  void Connect();

  std::string directory_;
  std::string http_address_;
  std::map<std::string, std::unique_ptr<Child>> children_;
  std::unique_ptr<v1::FleetService::Stub> fleet_;
  std::unique_ptr<v1::ImageService::Stub> images_;
  std::unique_ptr<v1::VirtualMachineService::Stub> vms_;
  std::unique_ptr<google::longrunning::Operations::Stub> operations_;
  std::unique_ptr<v1::PolicyService::Stub> policy_;
  std::unique_ptr<v1::AlertService::Stub> alerts_;
  std::unique_ptr<v1::DmBridgeService::Stub> bridge_;
};

// Waits until `ready()`, asking every 20 ms; false when `timeout` is over.
bool Await(const std::function<bool()>& ready, absl::Duration timeout = absl::Seconds(30));

// A TCP port on 127.0.0.1 that was free a moment ago.
int FreePort();

// The bootable guest image that the tests use (made by the fixture `guest_image`).
std::string GuestImage();

// What the guest has written on its serial console so far.
std::string ConsoleLog(Stack& stack, const std::string& id);

// The last `tick N` in a console log; -1 if there is none.
int LastTick(const std::string& console);

}  // namespace virmo::testing_support
