// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/server/fleet_parts.h"
#include "services/server/testing/scripted_device.h"

namespace virmo::server::testing {

inline constexpr const char* kVm = "3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10";

// A server's stores and DM handler on a temporary folder, without network. Restart() is what a
// kill and a new start are: everything made anew from the files.
class TestFleet {
 public:
  TestFleet() { Restart(); }
  ~TestFleet() {
    parts_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Restart() {
    parts_.reset();
    const Clock clock = [this] { return now; };
    auto base = Foundation::Open(folder_, clock);
    ASSERT_TRUE(base.ok()) << base.status();
    parts_ = std::make_unique<FleetParts>(
        *std::move(base), options, clock, [](const std::string&) {},
        [this](const std::string& device) { deferred.push_back(device); });
  }

  ScriptedDevice Enrol(const std::string& id) {
    v1::EnrolDeviceRequest request;
    request.set_device_id(id);
    const auto enrolment = devices().Enrol(
        request, {"virmo-server", "http://127.0.0.1:8080/dm", parts_->base.escrow->PublicKey()});
    EXPECT_TRUE(enrolment.ok()) << enrolment.status();
    return ScriptedDevice(enrolment->account_textproto(),
                          [this](const DeviceMessage& message) -> absl::StatusOr<DeviceMessage> {
                            return Post(message);
                          });
  }

  // A message as a device sends it; `change_request` sees it before the server does.
  absl::StatusOr<DeviceMessage> Post(const DeviceMessage& message) {
    DmRequest request = {.octets = message.octets, .encoding = syncml::Sniff(message.octets)};
    const size_t token = message.url.find("?s=");
    if (token != std::string::npos) request.token = message.url.substr(token + 3);
    request.hmac = message.hmac;
    if (change_request) change_request(request);
    ASSIGN_OR_RETURN(DmAnswer answer, parts_->handler.Handle(request));
    return DeviceMessage{.url = "", .octets = answer.octets, .hmac = answer.hmac};
  }

  absl::StatusOr<std::string> Post(const std::string& url, const std::string& body) {
    ASSIGN_OR_RETURN(const DeviceMessage answer, Post(DeviceMessage{.url = url, .octets = body}));
    return answer.octets;
  }

  // Queues an action; the command's id.
  std::string Queue(const std::string& device, v1::Action action) {
    QueuedCommand command;
    command.id = NewUuid();
    command.device = device;
    const auto vm = parts_->validator.Check(device, action);
    EXPECT_TRUE(vm.ok()) << vm.status();
    if (!vm.ok()) return command.id;
    *command.resource.mutable_action() = action;
    command.resource.set_virtual_machine_id(*vm);
    Events events;
    EXPECT_TRUE(queue().Insert(command, events).ok());
    return command.id;
  }

  v1::Command Command(const std::string& device, const std::string& id) {
    const auto command = queue().Get(device, id);
    EXPECT_TRUE(command.ok()) << command.status();
    return command.ok() ? *command : v1::Command();
  }

  std::vector<v1::DeviceAlert> Alerts(const std::string& device) {
    const auto list = alerts().List(device, 1000, "");
    EXPECT_TRUE(list.ok()) << list.status();
    return {list->alerts().begin(), list->alerts().end()};
  }

  DeviceRegistry& devices() { return parts_->devices; }
  Inventory& inventory() { return parts_->inventory; }
  CommandQueue& queue() { return parts_->queue; }
  AlertStore& alerts() { return parts_->alerts; }
  ImageLibrary& images() { return *parts_->base.images; }
  KeyEscrow& escrow() { return *parts_->base.escrow; }
  CommandValidator& validator() { return parts_->validator; }
  Database& database() { return *parts_->base.database; }
  const std::string& folder() const { return folder_; }

  absl::Time now = absl::FromUnixSeconds(1735732800);
  FleetOptions options = {.public_url = "http://127.0.0.1:8080"};
  std::function<void(DmRequest&)> change_request;
  std::vector<std::string> deferred;  // devices that were to come again

 private:
  const std::string folder_ = ::testing::TempDir() + "/virmo-server-" + NewUuid();
  std::unique_ptr<FleetParts> parts_;
};

}  // namespace virmo::server::testing
