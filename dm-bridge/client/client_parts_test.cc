// SPDX-License-Identifier: Apache-2.0
// Accounts, package #0, alerts: what surrounds a session.

#include <fstream>

#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/alerts/alert_relay.h"
#include "dm-bridge/testing/fake_device.h"
#include "dm-bridge/testing/server_side.h"
#include "dm-bridge/testing/test_tree.h"
#include "dm-bridge/transport/notification_gate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/syncml/notification.h"

namespace virmo::dm_bridge {
namespace {

using syncml::StatusCode;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AccountStoreTest : public ::testing::Test {
 protected:
  AccountStoreTest() : database_(OpenTestDatabase(folder_)), accounts_(*database_) {}

  absl::Status Import(const std::string& extra, const std::string& address = "https://a/dm") {
    std::ofstream(folder_ / "account") << "server_id: 'virmo-server' address: '" << address
                                       << "' device_uri: 'urn:x' client_name: 'me' " << extra;
    return accounts_.Import(folder_ / "account");
  }
  static std::string Good() {
    return "client_secret: 'devsecret' server_name: 'virmo-server' server_secret: 'srvsecret' "
           "client_nonce: 'AQIDBAUGBwgJCgsMDQ4PEA==' server_nonce: 'ERITFBUWFxgZGhscHR4fIA=='";
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
  AccountStore accounts_;
};

TEST_F(AccountStoreTest, NoncesLastUntilTheFileChanges) {
  ASSERT_TRUE(Import(Good()).ok());
  EXPECT_EQ(*accounts_.GetNonces("virmo-server"), (Nonces{kClientNonce, {kServerNonce}}));
  const Nonces later = {std::string("a\0b", 3), {"new", "old"}};
  ASSERT_TRUE(accounts_.SaveNonces("virmo-server", later).ok());
  ASSERT_TRUE(Import(Good()).ok());
  EXPECT_EQ(*accounts_.GetNonces("virmo-server"), later);
  ASSERT_TRUE(Import(Good() + " protocol_version: 'DM/1.2'").ok());
  EXPECT_EQ(accounts_.GetNonces("virmo-server")->client, kClientNonce);
}

TEST_F(AccountStoreTest, WrongAccountsAreRefusedWithoutTellingASecret) {
  EXPECT_THAT(std::string(Import("client_secret: 'hush'", "http://example.com/dm").message()),
              HasSubstr("https"));
  const absl::Status status = Import("client_secret: 'hush' client_nonce: '%' server_secret: 'h'");
  EXPECT_THAT(std::string(status.message()), HasSubstr("client_nonce"));
  EXPECT_THAT(std::string(status.message()), ::testing::Not(HasSubstr("hush")));
  EXPECT_FALSE(Import("").ok());
  EXPECT_FALSE(Import("client_secret: 'x'", "http://localhost/dm").ok());
  EXPECT_THAT(*accounts_.List(), IsEmpty());
}

TEST(CheckAddressTest, PlainHttpIsForLoopbackOnly) {
  for (const char* url : {"https://example.com/dm", "http://127.0.0.1:80/dm", "http://[::1]:8/",
                          "HTTP://localhost/dm"}) {
    EXPECT_TRUE(CheckAddress(url).ok()) << url;
  }
  for (const char* url : {"http://example.com", "http://127.0.0.1.example.com/",
                          "http://localhost@example.com/", "ftp://localhost/", "localhost", ""}) {
    EXPECT_FALSE(CheckAddress(url).ok()) << url;
  }
}

TEST_F(AccountStoreTest, TheGateAcceptsTheWorkedVectorOnce) {
  ASSERT_TRUE(Import(Good()).ok());
  std::vector<NotificationGate::Accepted> accepted;
  const auto gate = *NotificationGate::Open(
      accounts_, [&](const NotificationGate::Accepted& one) { accepted.push_back(one); });
  syncml::Notification notification;
  notification.ui_mode = 1;
  notification.session_id = 0x1F;
  notification.server_id = "virmo-server";
  const std::string octets = *syncml::Encode(notification, "srvsecret", kServerNonce);
  ASSERT_EQ(octets.size(), 36u);
  const auto encode = [&](const std::string& nonce) {
    return *syncml::Encode(notification, "srvsecret", nonce);
  };
  ASSERT_TRUE(gate->Take(octets).ok());
  ASSERT_EQ(accepted.size(), 1u);
  EXPECT_EQ(accepted[0].session_id, "1F");
  EXPECT_FALSE(accepted[0].resync_nonce.has_value());
  EXPECT_FALSE(accepted[0].ask_user);
  EXPECT_TRUE(absl::IsAlreadyExists(gate->Take(octets)));
  EXPECT_TRUE(gate->Take(encode(std::string(syncml::ResyncNonceAscii()))).ok());
  EXPECT_TRUE(gate->Take(encode(std::string(syncml::ResyncNonce()))).ok());
  EXPECT_EQ(accepted[1].resync_nonce, "0x00000000");
  EXPECT_EQ(accepted[2].resync_nonce, std::string(4, '\0'));
  EXPECT_TRUE(absl::IsUnauthenticated(gate->Take(encode(kClientNonce))));
  EXPECT_FALSE(gate->Take("rubbish").ok());
  notification.session_id = 0x20;
  notification.ui_mode = 3;
  for (const int version : {11, 12, 13}) {
    notification.version = version;
    ++notification.session_id;
    EXPECT_TRUE(gate->Take(encode(kServerNonce)).ok()) << version;
    EXPECT_TRUE(accepted.back().ask_user);
  }
  notification.server_id = "stranger";
  EXPECT_TRUE(absl::IsNotFound(gate->Take(encode(kServerNonce))));

  const auto after_restart = *NotificationGate::Open(
      accounts_, [](const NotificationGate::Accepted&) { FAIL() << "a replay"; });
  EXPECT_TRUE(absl::IsAlreadyExists(after_restart->Take(octets)));
}

class AlertRelayTest : public ::testing::Test {
 protected:
  AlertRelayTest()
      : device_(absl::StrCat("unix:", folder_ / "d.sock")),
        relay_(grpc::CreateChannel(absl::StrCat("unix:", folder_ / "d.sock"),
                                   grpc::InsecureChannelCredentials()),
               {.route = [](const v1::Alert& alert) { return alert.initiator().server_id(); },
                .on_pending = [](const std::string&) {},
                .on_service = [](const absl::Status&) {}}) {}

  void Raise(const std::string& id, const std::string& vm) {
    v1::Initiator initiator;
    initiator.set_server_id("srv");
    device_.alerts.Raise(id, vm, initiator);
  }
  std::vector<std::string> Pending() {
    std::vector<std::string> ids;
    for (const OutgoingAlert& alert : relay_.PendingFor("srv")) ids.push_back(alert.alert_id);
    return ids;
  }

  TempFolder folder_;
  FakeDevice device_;
  AlertRelay relay_;
};

TEST_F(AlertRelayTest, ARefusedAlertHoldsBackItsMachinesOthersOnly) {
  Raise("a1", kVmName);
  Raise("a2", kVmName);
  Raise("b1", "virtualMachines/other");
  ASSERT_TRUE(Eventually([&] { return Pending().size() == 3; }));
  EXPECT_THAT(relay_.PendingFor("another server"), IsEmpty());
  relay_.OnAnswered("a1", StatusCode::kCommandFailed);
  EXPECT_THAT(Pending(), ElementsAre("b1"));
  EXPECT_LT(relay_.NextRetry("srv"), absl::InfiniteFuture());
  relay_.OnAnswered("b1", StatusCode::kAccepted);
  EXPECT_THAT(Pending(), IsEmpty());
  EXPECT_THAT(device_.alerts.log(), ElementsAre("reject a1", "ack b1"));
}

TEST_F(AlertRelayTest, AnAlertRefusedForGoodIsParkedAndOvertaken) {
  Raise("a1", kVmName);
  Raise("a2", kVmName);
  ASSERT_TRUE(Eventually([&] { return Pending().size() == 2; }));
  relay_.OnAnswered("a1", StatusCode::kMissingCredentials);  // That is not about the alert,
  EXPECT_THAT(Pending(), IsEmpty());                         // which comes before a2 all the same.
  EXPECT_THAT(device_.alerts.log(), IsEmpty());
  for (int i = 0; i < AlertRelay::kMaxAttempts; ++i) relay_.OnUnanswered({"a1"});
  EXPECT_THAT(Pending(), ElementsAre("a2"));
  EXPECT_THAT(device_.alerts.log(), Contains("park a1"));
}

TEST(GenericAlertTest, CarriesOutcomeSourceAndCorrelator) {
  v1::Alert alert;
  alert.set_alert_id("id-1");
  alert.set_virtual_machine(kVmName);
  alert.set_event("Start");
  alert.set_severity(v1::Alert::SEVERITY_WARNING);
  alert.set_result_code(1409);
  alert.set_state(10);
  alert.mutable_create_time()->set_seconds(1735732800);
  alert.mutable_initiator()->set_uri("./VirMO/VMs/x/Operations/Start");
  alert.mutable_initiator()->set_correlator("c");
  const syncml::GenericAlert generic = MakeGenericAlert(alert);
  EXPECT_EQ(generic.type, "urn:oma:at:virmo:1.0:Start");
  EXPECT_EQ(generic.mark, "warning");
  EXPECT_EQ(generic.source_uri, "./VirMO/VMs/x/Operations/Start");
  EXPECT_EQ(generic.correlator, "c");
  const auto result = syncml::ParseOperationResult(generic.data);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->result_code, 1409);
  EXPECT_EQ(result->identifier, kVm);
  EXPECT_EQ(result->alert_id, "id-1");
  EXPECT_EQ(result->time, "20250101T120000Z");
  alert.clear_initiator();
  EXPECT_EQ(MakeGenericAlert(alert).source_uri, absl::StrCat("./VirMO/VMs/", kVm));
  EXPECT_FALSE(MakeGenericAlert(alert).correlator.has_value());
}

}  // namespace
}  // namespace virmo::dm_bridge
