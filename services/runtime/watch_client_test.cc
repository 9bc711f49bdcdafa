// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/watch_client.h"

#include <atomic>
#include <optional>

#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/channel.h"
#include "services/runtime/testing.h"
#include "virmo/v1/alert_service.grpc.pb.h"

namespace virmo {
namespace {

using testing::Eventually;

// Streams what is published.
class Source : public v1::AlertService::Service {
 public:
  explicit Source(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~Source() override {
    events.Close();
    server_->Shutdown();
  }

  grpc::Status WatchAlerts(grpc::ServerContext* /*context*/, const v1::WatchAlertsRequest*,
                           grpc::ServerWriter<v1::WatchAlertsResponse>* writer) override {
    Broadcast<int64_t>::Subscription subscription(events);
    writer->Write({});  // Watched from here on.
    int64_t sequence = 0;
    while (subscription.Next(absl::Seconds(10), &sequence) !=
           Broadcast<int64_t>::Subscription::State::kClosed) {
      v1::WatchAlertsResponse response;
      response.mutable_alert()->mutable_alert()->set_sequence(sequence);
      writer->Write(response);
    }
    return grpc::Status::OK;
  }

  Broadcast<int64_t> events;

 private:
  std::unique_ptr<grpc::Server> server_;
};

class WatchClientTest : public ::testing::Test {
 protected:
  void Watch() {
    config::v1::Endpoint endpoint;
    endpoint.set_address(address_);
    stub_ = v1::AlertService::NewStub(*MakeChannel(endpoint));
    client_.emplace(WatchClient<v1::WatchAlertsResponse>::Callbacks{
        [this](grpc::ClientContext* context) { return stub_->WatchAlerts(context, {}); },
        [this](const v1::WatchAlertsResponse& response) {
          response.has_alert() ? last_ = response.alert().alert().sequence() : ++opened_;
        },
        [this](const absl::Status& /*status*/) { ++broken_; }});
  }

  testing::TempDir dir_;
  const std::string address_ = "unix:" + dir_ / "source.sock";
  std::unique_ptr<v1::AlertService::Stub> stub_;
  std::atomic<int> opened_ = 0;
  std::atomic<int> broken_ = 0;
  std::atomic<int64_t> last_ = 0;
  std::optional<WatchClient<v1::WatchAlertsResponse>> client_;
};

TEST_F(WatchClientTest, HandsOverWhatIsPublished) {
  Source source(address_);
  Watch();
  ASSERT_TRUE(Eventually([&] { return opened_ == 1; }));

  source.events.Publish(7);

  EXPECT_TRUE(Eventually([&] { return last_ == 7; }));
  EXPECT_EQ(broken_, 0);
  client_.reset();
}

TEST_F(WatchClientTest, TellsOfAnAbsentPeerOnceAndFindsItWhenItComes) {
  Watch();
  ASSERT_TRUE(Eventually([&] { return broken_ == 1; }));

  Source source(address_);

  EXPECT_TRUE(Eventually([&] { return opened_ == 1; }));
  EXPECT_EQ(broken_, 1);
  client_.reset();
}

TEST_F(WatchClientTest, OpensTheStreamAgainAfterThePeerWasRestarted) {
  std::optional<Source> source(std::in_place, address_);
  Watch();
  ASSERT_TRUE(Eventually([&] { return opened_ == 1; }));

  source.reset();
  ASSERT_TRUE(Eventually([&] { return broken_ >= 1; }));
  source.emplace(address_);

  EXPECT_TRUE(Eventually([&] { return opened_ == 2; }));
  client_.reset();
}

TEST_F(WatchClientTest, EndsAtOnceWhetherThePeerIsThereOrNot) {
  Watch();
  ASSERT_TRUE(Eventually([&] { return broken_ == 1; }));
  client_.reset();
  Source source(address_);
  Watch();
  ASSERT_TRUE(Eventually([&] { return opened_ == 1; }));

  client_.reset();

  EXPECT_EQ(broken_, 1);
}

TEST(BroadcastTest, ASubscriberThatFallsBehindIsCutOff) {
  Broadcast<int> broadcast;
  Broadcast<int>::Subscription slow(broadcast);

  for (size_t i = 0; i <= Broadcast<int>::kMaxBacklog; ++i) broadcast.Publish(1);

  int event = 0;
  EXPECT_EQ(slow.Next(absl::ZeroDuration(), &event), Broadcast<int>::Subscription::State::kClosed);
}

TEST(BroadcastTest, WhatWasPublishedBeforeTheCloseIsStillHandedOver) {
  Broadcast<int> broadcast;
  Broadcast<int>::Subscription subscription(broadcast);
  broadcast.Publish(1);
  broadcast.Close();

  int event = 0;
  EXPECT_EQ(subscription.Next(absl::ZeroDuration(), &event),
            Broadcast<int>::Subscription::State::kEvent);
  EXPECT_EQ(subscription.Next(absl::ZeroDuration(), &event),
            Broadcast<int>::Subscription::State::kClosed);
}

}  // namespace
}  // namespace virmo
