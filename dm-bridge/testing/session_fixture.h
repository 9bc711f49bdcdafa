// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dm-bridge/session/session.h"
#include "dm-bridge/testing/server_side.h"
#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo::dm_bridge {
// Records what a session tells.
class FakeHost : public SessionHost {
 public:
  absl::Status SaveNonces(const Nonces& nonces) override {
    saved.push_back(nonces);
    return absl::OkStatus();
  }
  std::vector<OutgoingAlert> PendingAlerts() override { return pending; }
  void OnAlertAnswered(const std::string& alert_id, syncml::StatusCode code) override {
    answered.push_back(absl::StrCat(alert_id, " ", syncml::ToText(code)));
    std::erase_if(pending, [&](const OutgoingAlert& alert) { return alert.alert_id == alert_id; });
  }
  void OnCommands() override { ++commands; }
  PromptAnswer Ask(const syncml::Interaction& interaction) override {
    asked.push_back(interaction);
    return user_says;
  }

  void Raise(const std::string& id) {
    syncml::GenericAlert alert;
    alert.source_uri = "./T/Run";
    alert.type = "urn:oma:at:virmo:1.0:Start";
    alert.format = "xml";
    alert.mark = "informational";
    alert.data = "<OpResult><ResultCode>1200</ResultCode></OpResult>";
    pending.push_back({id, alert});
  }

  std::vector<Nonces> saved;
  std::vector<OutgoingAlert> pending;
  std::vector<std::string> answered;
  int commands = 0;
  std::vector<syncml::Interaction> asked;
  PromptAnswer user_says;
};

// A session on the test tree, with an account of the worked vectors.
class SessionTest : public ::testing::Test {
 protected:
  SessionTest() {
    config::v1::DmAccount& account = settings_.account;
    account.set_server_id("virmo-server");
    account.set_address("https://virmo.example/dm");
    account.set_device_uri("urn:uuid:6f1c1f0e-0000-4000-8000-000000000001");
    account.set_client_name("vm-device-01");
    account.set_client_secret("devsecret");
    account.set_server_name("virmo-server");
    account.set_server_secret("srvsecret");
    settings_.nonces = {kClientNonce, {kServerNonce}};
    settings_.session_id = "1F";
    settings_.session_uuid = "uuid";
    settings_.dev_info = {{"DevId", account.device_uri()}, {"Man", "Example"}};
  }

  syncml::Message Begin() {
    session_.emplace(settings_, test_.tree(), host_);
    return Take(session_->Start());
  }
  syncml::Message Take(SessionStep step) {
    EXPECT_TRUE(step.message.has_value()) << step.outcome;
    url_ = step.url;
    return step.message.value_or(syncml::Message());
  }
  syncml::Message Answer(const syncml::Message& message) {
    return Take(session_->Receive(message));
  }
  SessionStep End(const syncml::Message& message) {
    SessionStep step = session_->Receive(message);
    EXPECT_FALSE(step.message.has_value());
    return step;
  }
  // Package 2 of a server that is who it should be.
  ServerMessage Good(const syncml::Message& request) {
    ServerMessage message(request);
    message.Cred(kServerDigest);
    return message;
  }
  static std::string DigestOf(const syncml::Message& message) {
    return message.header.cred ? message.header.cred->data : "";
  }

  TestTree test_;
  FakeHost host_;
  SessionSettings settings_;
  std::optional<Session> session_;
  std::string url_;
};

}  // namespace virmo::dm_bridge
