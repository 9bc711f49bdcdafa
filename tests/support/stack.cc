// SPDX-License-Identifier: Apache-2.0
#include "tests/support/stack.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/text_format.h"
#include "grpcpp/create_channel.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/uuid.h"
#include "virmo/config/v1/alert_emitter_config.pb.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"
#include "virmo/config/v1/policy_engine_config.pb.h"
#include "virmo/config/v1/server_config.pb.h"
#include "virmo/config/v1/vm_controller_config.pb.h"

namespace virmo::testing_support {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// Programs lie beside the tests in the build tree, each in its component's folder.
std::string ProgramOf(const std::string& process) {
  static const std::map<std::string, std::string> folders = {
      {Stack::kAlertEmitter, "services/alert-emitter"},
      {Stack::kPolicyEngine, "policy-engine"},
      {Stack::kVmController, "vm-controller"},
      {Stack::kDmBridge, "dm-bridge"},
      {Stack::kServer, "services/server"},
  };
  // So that the benchmark can measure another build than its own.
  const char* other = getenv("VIRMO_PROGRAM_DIRECTORY");
  return absl::StrCat(other != nullptr ? other : VIRMO_BINARY_DIR, "/", folders.at(process), "/",
                      process);
}

std::string MakeTestDirectory() {
  // Short, since a unix socket's path has at most 107 characters; open to QEMU's own user.
  std::string pattern = "/tmp/vt-XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  chmod(pattern.c_str(), 0755);
  return pattern;
}

// What a crashed or stopped controller leaves running on purpose: its virtual machines.
void KillVirtualMachinesUnder(const std::string& directory) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::string command = ReadAll(entry.path() / "cmdline");
    if (absl::StrContains(command, "qemu-system") && absl::StrContains(command, directory + "/")) {
      kill(pid, SIGKILL);
    }
  }
}

}  // namespace

Stack::Stack(const Options& options) : directory_(MakeTestDirectory()) {
  signal(SIGPIPE, SIG_IGN);
  http_address_ = absl::StrCat("127.0.0.1:", FreePort());
  WriteConfigurations(options);
  Connect();
}

Stack::~Stack() {
  for (auto& [process, child] : children_) child->Kill(SIGTERM);
  KillVirtualMachinesUnder(directory_);
  if (testing::Test::HasFailure() || getenv("VIRMO_KEEP_TEST_FOLDER") != nullptr) {
    for (const auto& [process, child] : children_) {
      std::string log = ReadAll(LogOf(process));
      if (log.size() > 6000) log = log.substr(log.size() - 6000);
      GTEST_LOG_(INFO) << "log of " << process << ":\n" << log;
    }
  }
  if (getenv("VIRMO_KEEP_TEST_FOLDER") == nullptr) {
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }
}

std::string Stack::SocketOf(const std::string& process) const {
  return absl::StrCat("unix:", directory_, "/", process, ".sock");
}

std::string Stack::LogOf(const std::string& process) const {
  return absl::StrCat(directory_, "/", process, ".log");
}

void Stack::WriteConfiguration(const std::string& process, const google::protobuf::Message& config,
                               const std::string& extra) {
  std::string text;
  google::protobuf::TextFormat::PrintToString(config, &text);
  std::ofstream(absl::StrCat(directory_, "/", process, ".textproto")) << text << extra << "\n";
}

void Stack::WriteConfigurations(const Options& options) {
  const auto extra = [&](const std::string& process) {
    const auto found = options.extra_configuration.find(process);
    return found == options.extra_configuration.end() ? std::string() : found->second;
  };
  const auto common = [&](const std::string& process, auto& config) {
    config.mutable_listener()->set_address(SocketOf(process));
    config.set_state_directory(absl::StrCat(directory_, "/", process));
    config.mutable_logging()->set_level("debug");
  };

  config::v1::AlertEmitterConfig emitter;
  common(kAlertEmitter, emitter);
  WriteConfiguration(kAlertEmitter, emitter, extra(kAlertEmitter));

  config::v1::PolicyEngineConfig policy;
  common(kPolicyEngine, policy);
  policy.mutable_alert_emitter()->set_address(SocketOf(kAlertEmitter));
  WriteConfiguration(kPolicyEngine, policy, extra(kPolicyEngine));

  config::v1::VmControllerConfig controller;
  common(kVmController, controller);
  controller.mutable_alert_emitter()->set_address(SocketOf(kAlertEmitter));
  controller.mutable_policy_engine()->set_address(SocketOf(kPolicyEngine));
  controller.set_hypervisor_uri(options.hypervisor_uri);
  controller.set_accelerator(config::v1::VmControllerConfig::ACCELERATOR_TCG);
  WriteConfiguration(kVmController, controller, extra(kVmController));

  config::v1::DmBridgeConfig bridge;
  common(kDmBridge, bridge);
  bridge.mutable_alert_emitter()->set_address(SocketOf(kAlertEmitter));
  bridge.mutable_policy_engine()->set_address(SocketOf(kPolicyEngine));
  bridge.mutable_vm_controller()->set_address(SocketOf(kVmController));
  bridge.add_account_files(directory_ + "/account.textproto");
  bridge.set_notification_address(absl::StrCat("127.0.0.1:", FreePort()));
  bridge.set_poll_interval_seconds(2);
  WriteConfiguration(kDmBridge, bridge, extra(kDmBridge));

  config::v1::ServerConfig server;
  common(kServer, server);
  server.set_http_address(http_address_);
  WriteConfiguration(kServer, server, extra(kServer));
}

void Stack::Connect() {
  const auto channel = [&](const std::string& process) {
    config::v1::Endpoint endpoint;
    endpoint.set_address(SocketOf(process));
    return MakeChannel(endpoint).value();
  };
  fleet_ = v1::FleetService::NewStub(channel(kServer));
  images_ = v1::ImageService::NewStub(channel(kServer));
  vms_ = v1::VirtualMachineService::NewStub(channel(kVmController));
  operations_ = google::longrunning::Operations::NewStub(channel(kVmController));
  policy_ = v1::PolicyService::NewStub(channel(kPolicyEngine));
  alerts_ = v1::AlertService::NewStub(channel(kAlertEmitter));
  bridge_ = v1::DmBridgeService::NewStub(channel(kDmBridge));
}

void Stack::StartAll() {
  Start(kServer);
  AwaitHealthy(kServer);
  Enrol();
  for (const char* process : {kAlertEmitter, kPolicyEngine, kVmController, kDmBridge}) {
    Start(process);
  }
  for (const char* process : {kAlertEmitter, kPolicyEngine, kVmController, kDmBridge}) {
    AwaitHealthy(process);
  }
  EXPECT_TRUE(Await([&] {
    grpc::ClientContext context;
    SetDeadline(context, kCallTimeout);
    v1::GetDeviceRequest request;
    request.set_name(kDevice);
    v1::Device device;
    return fleet_->GetDevice(&context, request, &device).ok() && device.has_last_session_time();
  })) << "the device had no session";
}

void Stack::Start(const std::string& process, const std::string& fault) {
  Child::Options options;
  options.command = {ProgramOf(process), "--config",
                     absl::StrCat(directory_, "/", process, ".textproto")};
  if (!fault.empty()) options.environment["VIRMO_FAULT"] = fault;
  options.environment["MALLOC_ARENA_MAX"] = "1";
  options.output_file = LogOf(process);
  children_[process] = std::make_unique<Child>(options);
}

void Stack::Kill9(const std::string& process) { children_.at(process)->Kill(SIGKILL); }

void Stack::Terminate(const std::string& process) { children_.at(process)->Kill(SIGTERM); }

bool Stack::IsRunning(const std::string& process) { return children_.at(process)->IsRunning(); }

pid_t Stack::PidOf(const std::string& process) { return children_.at(process)->pid(); }

void Stack::Enrol() {
  config::v1::DmBridgeConfig bridge;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      ReadAll(directory_ + "/dm-bridge.textproto"), &bridge));
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout);
  v1::EnrolDeviceRequest request;
  request.set_device_id("d1");
  request.mutable_device()->set_display_name("test device");
  request.mutable_device()->set_notification_address("udp:" + bridge.notification_address());
  v1::Enrolment enrolment;
  const grpc::Status status = fleet_->EnrolDevice(&context, request, &enrolment);
  ASSERT_TRUE(status.ok()) << status.error_message();
  std::ofstream(directory_ + "/account.textproto") << enrolment.account_textproto();
  chmod((directory_ + "/account.textproto").c_str(), 0600);
}

void Stack::AwaitHealthy(const std::string& process) {
  config::v1::Endpoint endpoint;
  endpoint.set_address(SocketOf(process));
  const auto stub = v1::ProcessService::NewStub(MakeChannel(endpoint).value());
  v1::Process answer;
  const bool healthy = Await([&] {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(2));
    return stub->GetProcess(&context, v1::GetProcessRequest(), &answer).ok() &&
           answer.degradations().empty();
  });
  EXPECT_TRUE(healthy) << process << " is not healthy: " << answer.ShortDebugString();
}

v1::Image Stack::Upload(const std::string& path, const std::string& id) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(60));
  v1::Image image;
  const auto writer = images_->UploadImage(&context, &image);
  v1::UploadImageRequest first;
  first.mutable_image()->set_name("images/" + id);
  writer->Write(first);
  std::ifstream file(path, std::ios::binary);
  std::string chunk(256 << 10, '\0');
  while (file.read(chunk.data(), static_cast<std::streamsize>(chunk.size())), file.gcount() > 0) {
    v1::UploadImageRequest request;
    request.set_chunk(chunk.substr(0, static_cast<size_t>(file.gcount())));
    if (!writer->Write(request)) break;
  }
  writer->WritesDone();
  const grpc::Status status = writer->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  return image;
}

v1::Command Stack::Queue(const v1::Action& action) {
  grpc::ClientContext context;
  SetDeadline(context, kCallTimeout, true);
  v1::CreateCommandRequest request;
  request.set_parent(kDevice);
  *request.mutable_command()->mutable_action() = action;
  request.set_request_id(NewUuid());
  v1::Command command;
  const grpc::Status status = fleet_->CreateCommand(&context, request, &command);
  EXPECT_TRUE(status.ok()) << action.ShortDebugString() << ": " << status.error_message();
  return command;
}

v1::Command Stack::Get(const v1::Command& command) {
  v1::Command now;
  grpc::Status status;
  // A server that was killed is back in a moment.
  Await([&] {
    grpc::ClientContext context;
    SetDeadline(context, kCallTimeout, true);
    v1::GetCommandRequest request;
    request.set_name(command.name());
    status = fleet_->GetCommand(&context, request, &now);
    return status.error_code() != grpc::StatusCode::UNAVAILABLE;
  });
  EXPECT_TRUE(status.ok()) << command.name() << ": " << status.error_message();
  return now;
}

v1::Command Stack::AwaitEnd(const v1::Command& command, absl::Duration timeout) {
  v1::Command now;
  if (command.name().empty()) return now;  // It was refused; the test has failed already.
  const bool ended = Await(
      [&] {
        now = Get(command);
        return now.state() == v1::Command::STATE_CONFIRMED ||
               now.state() == v1::Command::STATE_FAILED ||
               now.state() == v1::Command::STATE_CANCELLED;
      },
      timeout);
  EXPECT_TRUE(ended) << "did not end: " << now.ShortDebugString();
  return now;
}

v1::Command Stack::Do(const v1::Action& action) {
  const v1::Command ended = AwaitEnd(Queue(action));
  EXPECT_EQ(ended.state(), v1::Command::STATE_CONFIRMED) << ended.ShortDebugString();
  return ended;
}

v1::VirtualMachine Stack::Vm(const std::string& id) {
  v1::VirtualMachine vm;
  grpc::Status status;
  Await([&] {
    grpc::ClientContext context;
    SetDeadline(context, kCallTimeout, true);
    v1::GetVirtualMachineRequest request;
    request.set_name("virtualMachines/" + id);
    status = vms_->GetVirtualMachine(&context, request, &vm);
    return status.error_code() != grpc::StatusCode::UNAVAILABLE;
  });
  if (!status.ok() && status.error_code() != grpc::StatusCode::NOT_FOUND) {
    ADD_FAILURE() << "cannot read " << id << ": " << status.error_message();
  }
  return status.ok() ? vm : v1::VirtualMachine();
}

std::vector<v1::DeviceAlert> Stack::Alerts() {
  std::vector<v1::DeviceAlert> alerts;
  v1::ListDeviceAlertsRequest request;
  request.set_parent(kDevice);
  request.set_page_size(1000);
  do {
    grpc::ClientContext context;
    SetDeadline(context, kCallTimeout, true);
    v1::ListDeviceAlertsResponse page;
    const grpc::Status status = fleet_->ListDeviceAlerts(&context, request, &page);
    EXPECT_TRUE(status.ok()) << status.error_message();
    alerts.insert(alerts.end(), page.alerts().begin(), page.alerts().end());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return alerts;
}

bool Await(const std::function<bool()>& ready, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (!ready()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length), 0);
  close(fd);
  return ntohs(address.sin_port);
}

std::string GuestImage() { return VIRMO_GUEST_IMAGE; }

std::string ConsoleLog(Stack& stack, const std::string& id) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(2));
  const auto stream = stack.vms().OpenConsole(&context);
  v1::OpenConsoleRequest request;
  request.set_name("virtualMachines/" + id);
  request.set_backlog_bytes(65536);
  stream->Write(request);
  std::string output;
  v1::OpenConsoleResponse response;
  while (stream->Read(&response)) output += response.output();
  stream->Finish();
  return output;
}

int LastTick(const std::string& console) {
  const size_t at = console.rfind("tick ");
  if (at == std::string::npos) return -1;
  return atoi(console.c_str() + at + 5);
}

}  // namespace virmo::testing_support
