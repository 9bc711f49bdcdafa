// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "dm-bridge/testing/dm_server.h"
#include "dm-bridge/testing/fake_device.h"
#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "virmo/v1/dm_bridge_service.grpc.pb.h"

namespace virmo::dm_bridge {

using syncml::Command;
using syncml::CommandKind;
using syncml::Message;

inline constexpr char kStart[] =
    "./VirMO/VMs/3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10/Operations/Start";

inline int FreeUdpPort() {
  const int probe = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  socklen_t size = sizeof(address);
  getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size);
  close(probe);
  return ntohs(address.sin_port);
}

// The real process between a scripted DM server and fake services.
class DmBridgeProcessTest : public ::testing::Test {
 protected:
  DmBridgeProcessTest()
      : udp_port_(FreeUdpPort()), device_(absl::StrCat("unix:", folder_ / "device.sock")) {
    device_.controller.Put(MakeMachine(kVm, "work", v1::VirtualMachine::STATE_STOPPED));
    v1::PolicyStatus policy;
    policy.mutable_policy()->set_virtual_machine(kVmName);
    device_.policies.Put(policy);
    WriteConfig(server_.url());
  }
  ~DmBridgeProcessTest() override { Kill(SIGTERM); }

  // What tests add to the account and to the configuration.
  void WriteConfig(const std::string& url, const std::string& account = "",
                   const std::string& config = "") {
    std::ofstream(folder_ / "account.textproto")
        << account << " server_id: 'virmo-server' address: '" << url
        << "' device_uri: 'urn:uuid:6f1c1f0e-0000-4000-8000-000000000001'"
        << " client_name: 'vm-device-01' client_secret: 'devsecret'"
        << " server_name: 'virmo-server' server_secret: 'srvsecret'"
        << " client_nonce: 'AQIDBAUGBwgJCgsMDQ4PEA==' server_nonce: 'ERITFBUWFxgZGhscHR4fIA=='";
    const std::string device = absl::StrCat("{ address: 'unix:", folder_ / "device.sock", "' }");
    std::ofstream(folder_ / "config.textproto")
        << config << " listener { address: 'unix:" << folder_ / "bridge.sock"
        << "' }"
        << " state_directory: '" << folder_ / "state"
        << "'"
        << " alert_emitter " << device << " policy_engine " << device << " vm_controller " << device
        << " account_files: '" << folder_ / "account.textproto"
        << "'"
        << " notification_address: '127.0.0.1:" << udp_port_ << "' poll_interval_seconds: 3600"
        << " min_poll_interval_seconds: 3600";
  }

  void StartBridge() {
    pid_ = fork();
    if (pid_ == 0) {
      const std::string log = folder_ / "log";
      if (freopen(log.c_str(), "a", stderr) == nullptr) _exit(127);
      execl(DM_BRIDGE_BINARY, "dm-bridge", "--config", (folder_ / "config.textproto").c_str(),
            nullptr);
      _exit(127);
    }
    stub_ = v1::DmBridgeService::NewStub(grpc::CreateChannel(
        absl::StrCat("unix:", folder_ / "bridge.sock"), grpc::InsecureChannelCredentials()));
  }
  // Also waits until it can tell of the virtual machine.
  void StartBridgeAndWait() {
    StartBridge();
    ASSERT_TRUE(Eventually([&] {
      return GetNode(absl::StrCat("./VirMO/VMs/", kVm, "/Lock/State")).value() == "30";
    })) << Log();
  }
  void Kill(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  void WaitForDeath() {
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  std::string Log() {
    std::ifstream log(folder_ / "log");
    return std::string(std::istreambuf_iterator<char>(log), {});
  }

  grpc::Status RunSession(v1::Session* session = nullptr) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::Session ignored;
    return stub_->RunSession(&context, v1::RunSessionRequest(),
                             session == nullptr ? &ignored : session);
  }
  v1::Node GetNode(const std::string& uri) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    v1::GetNodeRequest request;
    request.set_uri(uri);
    v1::Node node;
    stub_->GetNode(&context, request, &node);
    return node;
  }
  static Command StartCommand(const std::string& correlator) {
    Command exec = ServerMessage::MakeCommand(CommandKind::kExec, kStart);
    exec.correlator = correlator;
    return exec;
  }
  void Notify(const std::string& octets) {
    const int sender = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(udp_port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sendto(sender, octets.data(), octets.size(), 0, reinterpret_cast<sockaddr*>(&address),
           sizeof(address));
    close(sender);
  }

  TempFolder folder_;
  const int udp_port_;
  DmServer server_;
  FakeDevice device_;
  pid_t pid_ = 0;
  std::unique_ptr<v1::DmBridgeService::Stub> stub_;
};

}  // namespace virmo::dm_bridge
