// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/outbox.h"

#include <atomic>

#include "gmock/gmock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/mutex.h"
#include "services/runtime/testing.h"
#include "services/runtime/uuid.h"

namespace virmo {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;

// Keeps what it is sent, as alert-emitter does, and can be told how to answer.
class FakeAlertEmitter : public v1::AlertService::Service {
 public:
  explicit FakeAlertEmitter(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeAlertEmitter() override { server_->Shutdown(); }

  grpc::Status PublishAlert(grpc::ServerContext* /*context*/,
                            const v1::PublishAlertRequest* request,
                            v1::StoredAlert* response) override {
    MutexLock lock(mutex_);
    ++calls_;
    if (!refusal_.ok() && (refused_.empty() || request->alert().event() == refused_)) {
      return ToGrpc(refusal_);
    }
    alerts_.push_back(request->alert());
    *response->mutable_alert() = request->alert();
    return grpc::Status::OK;
  }

  // Answers so: to everything, or to alerts of one event only.
  void Refuse(const absl::Status& refusal, const std::string& event = "") {
    MutexLock lock(mutex_);
    refusal_ = refusal;
    refused_ = event;
  }
  std::vector<v1::Alert> alerts() {
    MutexLock lock(mutex_);
    return alerts_;
  }
  std::vector<std::string> events() {
    std::vector<std::string> events;
    for (const v1::Alert& alert : alerts()) events.push_back(alert.event());
    return events;
  }
  int calls() {
    MutexLock lock(mutex_);
    return calls_;
  }

 private:
  Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::string refused_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::Alert> alerts_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

class OutboxTest : public ::testing::Test {
 protected:
  OutboxTest() { Reopen(); }
  ~OutboxTest() override { outbox_.reset(); }

  void Reopen() {
    outbox_.reset();
    database_.reset();
    database_ = *Database::Open(dir_ / "test.db", {Outbox::GetSchema()});
    config::v1::Endpoint endpoint;
    endpoint.set_address(address_);
    outbox_.emplace(*database_, "vm-controller", *MakeChannel(endpoint),
                    [this](bool reachable, const std::string& /*detail*/) {
                      (reachable ? reached_ : missed_)++;
                    });
  }

  void Add(const std::string& event, const std::string& id = NewUuid()) {
    v1::Alert alert;
    alert.set_alert_id(id);
    alert.set_event(event);
    alert.set_virtual_machine("virtualMachines/work");
    EXPECT_TRUE(outbox_->Add(alert).ok());
  }

  bool Empties() {
    return Eventually([&] { return *outbox_->Pending() == 0; });
  }

  testing::TempDir dir_;
  const std::string address_ = "unix:" + dir_ / "alert-emitter.sock";
  std::unique_ptr<Database> database_;
  std::optional<Outbox> outbox_;
  std::atomic<int> reached_ = 0;
  std::atomic<int> missed_ = 0;
};

TEST_F(OutboxTest, PublishesInOrderWithSourceAndGaplessSequence) {
  FakeAlertEmitter emitter(address_);
  outbox_->Start();

  for (int i = 0; i < 20; ++i) Add(std::to_string(i));

  ASSERT_TRUE(Empties());
  const std::vector<v1::Alert> alerts = emitter.alerts();
  ASSERT_EQ(alerts.size(), 20U);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(alerts[i].event(), std::to_string(i));
    EXPECT_EQ(alerts[i].source(), "vm-controller");
    EXPECT_EQ(alerts[i].source_sequence(), i + 1);
    EXPECT_TRUE(alerts[i].has_create_time());
  }
  EXPECT_EQ(reached_, 1);
}

TEST_F(OutboxTest, KeepsAlertsWhileTheEmitterIsAbsentAndTellsBoth) {
  outbox_->Start();
  Add("a");
  Add("b");
  ASSERT_TRUE(Eventually([&] { return missed_ == 1; }));
  EXPECT_EQ(*outbox_->Pending(), 2);

  FakeAlertEmitter emitter(address_);

  ASSERT_TRUE(Empties());
  EXPECT_THAT(emitter.events(), ElementsAre("a", "b"));
  EXPECT_EQ(missed_, 1);
  EXPECT_EQ(reached_, 1);
}

TEST_F(OutboxTest, PendingAlertsSurviveARestartAndAreSentFirst) {
  Add("a");
  Reopen();
  Add("b");
  FakeAlertEmitter emitter(address_);

  outbox_->Start();

  ASSERT_TRUE(Empties());
  EXPECT_THAT(emitter.events(), ElementsAre("a", "b"));
  EXPECT_EQ(emitter.alerts()[1].source_sequence(), 2);
}

TEST_F(OutboxTest, AnAlertIdIsAddedOnceEvenAfterItWasPublished) {
  FakeAlertEmitter emitter(address_);
  outbox_->Start();
  const std::string id = NewUuid();
  Add("a", id);
  Add("a", id);
  ASSERT_TRUE(Empties());
  Reopen();
  outbox_->Start();

  Add("a", id);
  Add("b");

  ASSERT_TRUE(Empties());
  EXPECT_THAT(emitter.events(), ElementsAre("a", "b"));
  EXPECT_EQ(emitter.alerts()[1].source_sequence(), 2);
}

TEST_F(OutboxTest, ARolledBackAlertIsNeverSentAndLeavesNoGap) {
  FakeAlertEmitter emitter(address_);
  outbox_->Start();

  EXPECT_FALSE(database_
                   ->Transact([&]() -> absl::Status {
                     Add("never");
                     return absl::AbortedError("no");
                   })
                   .ok());
  Add("a");

  ASSERT_TRUE(Empties());
  EXPECT_THAT(emitter.events(), ElementsAre("a"));
  EXPECT_EQ(emitter.alerts()[0].source_sequence(), 1);
}

TEST_F(OutboxTest, ARefusalThatMayPassIsTriedAgainAndHoldsTheOrder) {
  FakeAlertEmitter emitter(address_);
  emitter.Refuse(ErrorWithCode(absl::StatusCode::kResourceExhausted,
                               v1::ErrorInfo::REASON_STORAGE_FAILED, "disk full"));
  outbox_->Start();
  Add("a");
  Add("b");
  ASSERT_TRUE(Eventually([&] { return emitter.calls() >= 2; }));
  EXPECT_EQ(*outbox_->Pending(), 2);

  emitter.Refuse(absl::OkStatus());

  ASSERT_TRUE(Empties());
  EXPECT_THAT(emitter.events(), ElementsAre("a", "b"));
}

TEST_F(OutboxTest, AnAlertCalledInvalidIsSetAsideAndTheRestGoesOn) {
  FakeAlertEmitter emitter(address_);
  emitter.Refuse(InvalidField("alert.event", "unknown"), "bad");
  outbox_->Start();

  Add("bad");
  Add("good");

  ASSERT_TRUE(Empties());
  EXPECT_THAT(emitter.events(), ElementsAre("good"));
  const auto kept = *database_->Query("SELECT alert, error FROM outbox WHERE state = 2");
  ASSERT_EQ(kept.size(), 1U);
  v1::Alert alert;
  ASSERT_TRUE(alert.ParseFromString(kept.front().Text(0)));
  EXPECT_EQ(alert.event(), "bad");
  EXPECT_THAT(kept.front().Text(1), ::testing::HasSubstr("unknown"));
}

TEST_F(OutboxTest, AnAlertWithoutAUuidIsRefused) {
  v1::Alert alert;
  alert.set_alert_id("1");

  EXPECT_EQ(outbox_->Add(alert).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(*outbox_->Pending(), 0);
}

}  // namespace
}  // namespace virmo
