// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "grpcpp/server.h"

#include "services/runtime/mutex.h"
#include "virmo/v1/errors.pb.h"
#include "virmo/v1/fleet_service.grpc.pb.h"
#include "virmo/v1/image_service.grpc.pb.h"
#include "virmo/v1/process_service.grpc.pb.h"
#include "virmo/v1/virtual_machine_service.grpc.pb.h"

namespace virmo::cli {

// What a fake device makes of the next command, step by step.
struct Scripted {
  v1::Command::State state;
  std::string detail = "";
  int progress_percent = 0;
  int result_code = 0;
  int dm_status = 0;
  bool breaks_stream = false;  // The watcher's stream is cut after this step.
};

// A VirMO server as the CLI sees it, with devices that do as scripted. Keeps what it was told.
// Thread-safe.
class FakeFleet final : public v1::FleetService::Service {
 public:
  // Set before the first call.
  std::vector<Scripted> script;
  std::vector<v1::Command::NodeResult> node_results;
  bool never_ends = false;  // Streams stay open after the script.

  void AddDevice(const v1::Device& device);
  void AddVm(const std::string& device, const v1::DeviceVirtualMachine& vm);
  void AddAlert(const v1::DeviceAlert& alert);
  // The next call of any kind fails so.
  void FailNext(v1::ErrorInfo::Reason reason, const std::string& message);
  // Alert streams are cut after so many alerts.
  void BreakAlertsAfter(int count);
  // Wakes and ends all streams.
  void Shutdown();

  std::vector<v1::Command> Commands();
  v1::EnrolDeviceRequest last_enrolment();
  int watches();

  grpc::Status GetServer(grpc::ServerContext*, const v1::GetServerRequest*,
                         v1::GetServerResponse*) override;
  grpc::Status EnrolDevice(grpc::ServerContext*, const v1::EnrolDeviceRequest*,
                           v1::Enrolment*) override;
  grpc::Status GetDevice(grpc::ServerContext*, const v1::GetDeviceRequest*, v1::Device*) override;
  grpc::Status ListDevices(grpc::ServerContext*, const v1::ListDevicesRequest*,
                           v1::ListDevicesResponse*) override;
  grpc::Status DeleteDevice(grpc::ServerContext*, const v1::DeleteDeviceRequest*,
                            v1::Device*) override;
  grpc::Status ListDeviceVirtualMachines(grpc::ServerContext*,
                                         const v1::ListDeviceVirtualMachinesRequest*,
                                         v1::ListDeviceVirtualMachinesResponse*) override;
  grpc::Status CreateCommand(grpc::ServerContext*, const v1::CreateCommandRequest*,
                             v1::Command*) override;
  grpc::Status GetCommand(grpc::ServerContext*, const v1::GetCommandRequest*,
                          v1::Command*) override;
  grpc::Status ListCommands(grpc::ServerContext*, const v1::ListCommandsRequest*,
                            v1::ListCommandsResponse*) override;
  grpc::Status CancelCommand(grpc::ServerContext*, const v1::CancelCommandRequest*,
                             v1::Command*) override;
  grpc::Status WatchCommand(grpc::ServerContext*, const v1::WatchCommandRequest*,
                            grpc::ServerWriter<v1::WatchCommandResponse>*) override;
  grpc::Status ListDeviceAlerts(grpc::ServerContext*, const v1::ListDeviceAlertsRequest*,
                                v1::ListDeviceAlertsResponse*) override;
  grpc::Status WatchDeviceAlerts(grpc::ServerContext*, const v1::WatchDeviceAlertsRequest*,
                                 grpc::ServerWriter<v1::WatchDeviceAlertsResponse>*) override;

 private:
  struct Entry {
    v1::Command command;
    size_t next = 0;  // Of the script.
  };

  grpc::Status TakeFailure();
  void Advance(Entry& entry, const Scripted& step);
  void Wait(grpc::ServerContext* context);

  Mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, v1::Device> devices_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<v1::DeviceVirtualMachine>> vms_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Entry> commands_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::DeviceAlert> alerts_ ABSL_GUARDED_BY(mutex_);
  std::deque<grpc::Status> failures_ ABSL_GUARDED_BY(mutex_);
  v1::EnrolDeviceRequest enrolment_ ABSL_GUARDED_BY(mutex_);
  int break_alerts_after_ ABSL_GUARDED_BY(mutex_) = -1;
  int watches_ ABSL_GUARDED_BY(mutex_) = 0;
  bool shutdown_ ABSL_GUARDED_BY(mutex_) = false;
};

// A library that keeps what is uploaded.
class FakeImages final : public v1::ImageService::Service {
 public:
  std::string damage;  // Added to the digest that is answered.
  grpc::Status refusal;

  std::string octets();
  v1::Image described();

  grpc::Status UploadImage(grpc::ServerContext*, grpc::ServerReader<v1::UploadImageRequest>*,
                           v1::Image*) override;
  grpc::Status GetImage(grpc::ServerContext*, const v1::GetImageRequest*, v1::Image*) override;
  grpc::Status ListImages(grpc::ServerContext*, const v1::ListImagesRequest*,
                          v1::ListImagesResponse*) override;
  grpc::Status DeleteImage(grpc::ServerContext*, const v1::DeleteImageRequest*,
                           v1::Image*) override;

 private:
  Mutex mutex_;
  std::string octets_ ABSL_GUARDED_BY(mutex_);
  v1::Image described_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Image> images_ ABSL_GUARDED_BY(mutex_);
};

// A vm-controller with one virtual machine.
class FakeController final : public v1::VirtualMachineService::Service {
 public:
  v1::VirtualMachine vm;

  grpc::Status GetVirtualMachine(grpc::ServerContext*, const v1::GetVirtualMachineRequest*,
                                 v1::VirtualMachine*) override;
  grpc::Status ListVirtualMachines(grpc::ServerContext*, const v1::ListVirtualMachinesRequest*,
                                   v1::ListVirtualMachinesResponse*) override;
  grpc::Status OpenConsole(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::OpenConsoleResponse, v1::OpenConsoleRequest>*) override;
};

// A process that says how it is.
class FakeProcess final : public v1::ProcessService::Service {
 public:
  v1::Process process;

  grpc::Status GetProcess(grpc::ServerContext*, const v1::GetProcessRequest*,
                          v1::Process*) override;
  grpc::Status SetLogLevel(grpc::ServerContext*, const v1::SetLogLevelRequest*,
                           v1::Process*) override;
};

}  // namespace virmo::cli
