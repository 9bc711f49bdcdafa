// SPDX-License-Identifier: Apache-2.0
#include "services/alert-emitter/alert_service.h"

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"

namespace virmo::alert_emitter {
namespace {

using v1::StoredAlert;

class AlertServiceTest : public testing::Test {
 protected:
  AlertServiceTest() : folder_(std::filesystem::path(testing::TempDir()) / NewUuid()) {
    auto database = Database::Open((folder_ / "alerts.db").string(), {AlertStore::GetSchema()});
    EXPECT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    store_ = std::make_unique<AlertStore>(*database_);
    service_ = std::make_unique<AlertService>(
        *store_, [this](const absl::Status& status) { storage_works_ = status.ok(); });
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::AlertService::NewStub(server_->InProcessChannel({}));
  }
  ~AlertServiceTest() override {
    store_->Close();
    server_->Shutdown();
    std::filesystem::remove_all(folder_);
  }

  static v1::Alert MakeAlert() {
    v1::Alert alert;
    alert.set_alert_id(NewUuid());
    alert.set_source("vm-controller");
    alert.set_event("Start");
    return alert;
  }

  absl::StatusOr<StoredAlert> Publish(const v1::Alert& alert) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    v1::PublishAlertRequest request;
    *request.mutable_alert() = alert;
    StoredAlert stored;
    const absl::Status status = FromGrpc(stub_->PublishAlert(&context, request, &stored));
    if (!status.ok()) return status;
    return stored;
  }

  void Acknowledge(const std::string& id) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    v1::AcknowledgeAlertRequest request;
    request.set_alert_id(id);
    StoredAlert stored;
    EXPECT_TRUE(stub_->AcknowledgeAlert(&context, request, &stored).ok());
  }

  absl::StatusOr<v1::ListAlertsResponse> List(const v1::ListAlertsRequest& request) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    v1::ListAlertsResponse response;
    const absl::Status status = FromGrpc(stub_->ListAlerts(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // The first `count` alerts that a watcher receives.
  std::vector<int64_t> Watch(int64_t after, size_t count) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(30));
    v1::WatchAlertsRequest request;
    request.set_after_sequence(after);
    const auto reader = stub_->WatchAlerts(&context, request);
    std::vector<int64_t> sequences;
    v1::WatchAlertsResponse message;
    while (sequences.size() < count && reader->Read(&message)) {
      if (message.has_alert()) sequences.push_back(message.alert().alert().sequence());
    }
    context.TryCancel();
    return sequences;
  }

  const std::filesystem::path folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AlertStore> store_;
  std::unique_ptr<AlertService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::AlertService::Stub> stub_;
  std::atomic<bool> storage_works_ = true;
};

TEST_F(AlertServiceTest, RefusesAnAlertWithoutIdSourceOrEventAndNamesTheField) {
  v1::Alert alert = MakeAlert();
  alert.set_alert_id("7");
  EXPECT_EQ(ErrorInfoOf(Publish(alert).status()).field(), "alert.alert_id");
  alert = MakeAlert();
  alert.clear_source();
  EXPECT_EQ(ErrorInfoOf(Publish(alert).status()).field(), "alert.source");
  alert = MakeAlert();
  alert.clear_event();
  EXPECT_EQ(ErrorInfoOf(Publish(alert).status()).field(), "alert.event");
  alert = MakeAlert();
  alert.set_virtual_machine("vms/1");
  EXPECT_EQ(ErrorInfoOf(Publish(alert).status()).field(), "alert.virtual_machine");
  EXPECT_EQ(List({})->alerts_size(), 0);
}

TEST_F(AlertServiceTest, RefusesAnAlertThatIsTooLarge) {
  v1::Alert alert = MakeAlert();
  alert.set_detail(std::string(70000, 'x'));

  EXPECT_EQ(Publish(alert).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(AlertServiceTest, StreamsOnlyPendingAlertsAfterTheSequenceAskedFor) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(MakeAlert().alert_id());
    v1::Alert alert = MakeAlert();
    alert.set_alert_id(ids.back());
    ASSERT_TRUE(Publish(alert).ok());
  }
  Acknowledge(ids[3]);

  EXPECT_THAT(Watch(0, 4), testing::ElementsAre(1, 2, 3, 5));
  EXPECT_THAT(Watch(2, 2), testing::ElementsAre(3, 5));
}

TEST_F(AlertServiceTest, SendsASignOfLifeAtOnce) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  const auto reader = stub_->WatchAlerts(&context, {});
  v1::WatchAlertsResponse message;

  ASSERT_TRUE(reader->Read(&message));

  EXPECT_FALSE(message.has_alert());
  context.TryCancel();
}

TEST_F(AlertServiceTest, ServesSeveralWatchersEachWithEveryAlertInOrder) {
  constexpr int kAlerts = 500;
  std::vector<std::vector<int64_t>> seen(3);
  std::vector<std::thread> watchers;
  for (auto& sequences : seen) {
    watchers.emplace_back([&] { sequences = Watch(0, kAlerts); });
  }
  for (int i = 0; i < kAlerts; ++i) ASSERT_TRUE(Publish(MakeAlert()).ok());
  for (std::thread& watcher : watchers) watcher.join();

  std::vector<int64_t> expected;
  for (int i = 1; i <= kAlerts; ++i) expected.push_back(i);
  for (const auto& sequences : seen) EXPECT_EQ(sequences, expected);
}

TEST_F(AlertServiceTest, EndsStreamsWhenItShutsDown) {
  std::thread watcher([this] { EXPECT_TRUE(Watch(0, 1).empty()); });

  store_->Close();

  watcher.join();
}

TEST_F(AlertServiceTest, ListsInPagesAndByState) {
  std::string last;
  for (int i = 0; i < 5; ++i) {
    const v1::Alert alert = MakeAlert();
    last = alert.alert_id();
    ASSERT_TRUE(Publish(alert).ok());
  }
  Acknowledge(last);

  v1::ListAlertsRequest request;
  request.set_page_size(2);
  std::vector<int64_t> sequences;
  int pages = 0;
  do {
    const auto page = List(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const StoredAlert& alert : page->alerts()) sequences.push_back(alert.alert().sequence());
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(sequences, testing::ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(pages, 3);

  request.Clear();
  request.set_state(StoredAlert::STATE_ACKNOWLEDGED);
  EXPECT_EQ(List(request)->alerts_size(), 1);
}

TEST_F(AlertServiceTest, RefusesABadPageTokenOrSize) {
  v1::ListAlertsRequest request;
  request.set_page_token("next");
  EXPECT_EQ(ErrorInfoOf(List(request).status()).field(), "page_token");
  request.Clear();
  request.set_page_size(-1);
  EXPECT_EQ(ErrorInfoOf(List(request).status()).field(), "page_size");
}

TEST_F(AlertServiceTest, ShowsFailingStorageAndItsRecovery) {
  ASSERT_TRUE(Publish(MakeAlert()).ok());
  ASSERT_TRUE(database_->Query("PRAGMA max_page_count = 1").ok());
  v1::Alert large = MakeAlert();
  large.set_detail(std::string(60000, 'x'));

  EXPECT_EQ(Publish(large).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(storage_works_);
  ASSERT_TRUE(database_->Query("PRAGMA max_page_count = 1000000").ok());
  EXPECT_TRUE(Publish(large).ok());
  EXPECT_TRUE(storage_works_);
}

}  // namespace
}  // namespace virmo::alert_emitter
