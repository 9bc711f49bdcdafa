// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "services/runtime/uuid.h"
#include "services/server/dm/dm_handler.h"
#include "services/server/fleet/command_validator.h"
#include "services/server/store/schema.h"
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
    parts_ = std::make_unique<Parts>(folder_, &now);
  }

  ScriptedDevice Enrol(const std::string& id) {
    v1::EnrolDeviceRequest request;
    request.set_device_id(id);
    const auto enrolment = devices().Enrol(request, {"virmo-server", "http://127.0.0.1:8080/dm"});
    EXPECT_TRUE(enrolment.ok()) << enrolment.status();
    return ScriptedDevice(
        enrolment->account_textproto(),
        [this](const std::string& url, const std::string& body) { return Post(url, body); });
  }

  absl::StatusOr<std::string> Post(const std::string& url, const std::string& body) {
    const size_t token = url.find("?s=");
    return parts_->handler.Handle(body, syncml::Sniff(body),
                                  token == std::string::npos ? "" : url.substr(token + 3));
  }

  // Queues an action; the command's id.
  std::string Queue(const std::string& device, const v1::Action& action) {
    QueuedCommand command;
    command.id = NewUuid();
    command.device = device;
    *command.resource.mutable_action() = action;
    const auto vm = parts_->validator.Check(device, action);
    EXPECT_TRUE(vm.ok()) << vm.status();
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
  ImageLibrary& images() { return *parts_->images; }
  CommandValidator& validator() { return parts_->validator; }
  Database& database() { return *parts_->database; }
  const std::string& folder() const { return folder_; }

  absl::Time now = absl::FromUnixSeconds(1735732800);

 private:
  struct Parts {
    Parts(const std::string& folder, absl::Time* now)
        : clock([now] { return *now; }),
          database(*Database::Open(folder + "/server.db", {GetSchema()})),
          secrets(*SecretBox::Open(folder + "/key", SecretBox::IfMissing::kMakeKey)),
          images(*ImageLibrary::Open(folder + "/images", *database, clock)) {}

    Clock clock;
    std::unique_ptr<Database> database;
    std::unique_ptr<SecretBox> secrets;
    std::unique_ptr<ImageLibrary> images;
    DeviceRegistry devices{*database, *secrets, clock};
    Inventory inventory{*database, clock, absl::Minutes(15)};
    CommandQueue queue{*database, clock};
    AlertStore alerts{*database, clock};
    EventFeed feed;
    CommandValidator validator{devices, inventory, queue, *images};
    DmParts dm{*database,
               devices,
               inventory,
               queue,
               alerts,
               *images,
               feed,
               clock,
               "virmo-server",
               "http://127.0.0.1:8080",
               1 << 20,
               absl::Minutes(15),
               [](const std::string&) {}};
    DmHandler handler{dm};
  };

  const std::string folder_ = ::testing::TempDir() + "/virmo-server-" + NewUuid();
  std::unique_ptr<Parts> parts_;
};

}  // namespace virmo::server::testing
