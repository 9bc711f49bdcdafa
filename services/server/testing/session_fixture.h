// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/server/testing/scripted_device.h"
#include "services/server/testing/test_fleet.h"

namespace virmo::server {

using syncml::CommandKind;
using testing::kVm;
using testing::ScriptedDevice;
using testing::TestFleet;
using v1::Command;

inline constexpr const char* kAlertId = "11111111-2222-4333-8444-555555555555";
inline constexpr const char* kOtherVm = "8d5b7f62-30a4-4c8e-9d0b-1f2e3d4c5b6a";

// A fleet with one device that has one stopped virtual machine, and what tests do with them.
class SessionFixture : public ::testing::Test {
 protected:
  SessionFixture() { device_.AddVirtualMachine(kVm, "web", 10); }

  // Runs a session under a new SessionID.
  void Session() {
    device_.Begin(absl::StrCat(++session_));
    const absl::Status status = device_.RunSession();
    EXPECT_TRUE(status.ok()) << status;
  }

  v1::Action On(const std::string& vm) {
    v1::Action action;
    action.set_virtual_machine(vm);
    return action;
  }
  std::string QueueStart() {
    v1::Action action = On(kVm);
    action.mutable_start();
    return fleet_.Queue("edge-1", action);
  }
  Command Get(const std::string& id) { return fleet_.Command("edge-1", id); }
  void SetState(int state) {
    device_.tree[absl::StrCat("./VirMO/VMs/", kVm, "/State")] = absl::StrCat(state);
  }
  std::vector<syncml::Command> Execs() {
    std::vector<syncml::Command> execs;
    for (const auto& command : device_.commands) {
      if (command.kind == CommandKind::kExec) execs.push_back(command);
    }
    return execs;
  }
  std::vector<Command::State> Way(const std::string& id) {
    std::vector<Command::State> states;
    const Command command = Get(id);
    for (const auto& step : command.timeline()) states.push_back(step.state());
    return states;
  }

  TestFleet fleet_;
  ScriptedDevice device_ = fleet_.Enrol("edge-1");
  int session_ = 0;
};

}  // namespace virmo::server
