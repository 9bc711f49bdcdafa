// SPDX-License-Identifier: Apache-2.0
#include "services/alert-emitter/alert_store.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"

namespace virmo::alert_emitter {
namespace {

using v1::StoredAlert;

v1::Alert MakeAlert(const std::string& vm = "", int64_t source_sequence = 1,
                    const std::string& source = "vm-controller") {
  v1::Alert alert;
  alert.set_alert_id(NewUuid());
  alert.set_source(source);
  alert.set_source_sequence(source_sequence);
  if (!vm.empty()) alert.set_virtual_machine("virtualMachines/" + vm);
  alert.set_event("Start");
  return alert;
}

class AlertStoreTest : public testing::Test {
 protected:
  AlertStoreTest() : folder_(std::filesystem::path(testing::TempDir()) / NewUuid()) { Open(); }
  ~AlertStoreTest() override { std::filesystem::remove_all(folder_); }

  void Open() {
    store_.reset();
    database_.reset();
    auto database = Database::Open((folder_ / "alerts.db").string(), {AlertStore::GetSchema()});
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    store_ = std::make_unique<AlertStore>(*database_);
  }

  StoredAlert Publish(const v1::Alert& alert) {
    auto stored = store_->Publish(alert);
    EXPECT_TRUE(stored.ok()) << stored.status();
    return stored.ok() ? *stored : StoredAlert();
  }

  size_t Count(StoredAlert::State state) { return store_->List(0, state, 100000)->size(); }

  const std::filesystem::path folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AlertStore> store_;
};

TEST_F(AlertStoreTest, NumbersAlertsInTheOrderOfAcceptance) {
  const StoredAlert first = Publish(MakeAlert());
  const StoredAlert second = Publish(MakeAlert());

  EXPECT_EQ(first.state(), StoredAlert::STATE_PENDING);
  EXPECT_EQ(first.alert().sequence(), 1);
  EXPECT_EQ(second.alert().sequence(), 2);
}

TEST_F(AlertStoreTest, IgnoresTheSequenceThatASourceSent) {
  v1::Alert alert = MakeAlert();
  alert.set_sequence(77);

  EXPECT_EQ(Publish(alert).alert().sequence(), 1);
}

TEST_F(AlertStoreTest, ReturnsTheStoredAlertWhenPublishIsRepeated) {
  v1::Alert alert = MakeAlert();
  alert.set_detail("first");
  Publish(alert);
  alert.set_detail("second");

  const StoredAlert repeated = Publish(alert);

  EXPECT_EQ(repeated.alert().sequence(), 1);
  EXPECT_EQ(repeated.alert().detail(), "first");
  EXPECT_EQ(Count(StoredAlert::STATE_UNSPECIFIED), 1U);
}

TEST_F(AlertStoreTest, KnowsARepeatEvenAfterAcknowledgementAndReopening) {
  const v1::Alert alert = MakeAlert();
  Publish(alert);
  ASSERT_TRUE(store_->Acknowledge(alert.alert_id()).ok());
  Open();

  const StoredAlert repeated = Publish(alert);

  EXPECT_EQ(repeated.state(), StoredAlert::STATE_ACKNOWLEDGED);
  EXPECT_EQ(Count(StoredAlert::STATE_PENDING), 0U);
}

TEST_F(AlertStoreTest, AcknowledgesTwiceWithTheSameResult) {
  const v1::Alert alert = MakeAlert();
  Publish(alert);

  const auto first = store_->Acknowledge(alert.alert_id());
  const auto second = store_->Acknowledge(alert.alert_id());

  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(first->SerializeAsString(), second->SerializeAsString());
  EXPECT_EQ(first->attempts(), 1);
}

TEST_F(AlertStoreTest, RefusesToAcknowledgeOrRejectAnUnknownAlert) {
  EXPECT_EQ(ReasonOf(store_->Acknowledge(NewUuid()).status()), v1::ErrorInfo::REASON_NOT_FOUND);
  EXPECT_EQ(ReasonOf(store_->Reject(NewUuid(), "", true).status()),
            v1::ErrorInfo::REASON_NOT_FOUND);
}

TEST_F(AlertStoreTest, KeepsARejectedAlertPendingUntilItIsParked) {
  const v1::Alert alert = MakeAlert();
  Publish(alert);

  const auto rejected = store_->Reject(alert.alert_id(), "status 500", false);
  const auto parked = store_->Reject(alert.alert_id(), "status 412", true);

  ASSERT_TRUE(rejected.ok() && parked.ok());
  EXPECT_EQ(rejected->state(), StoredAlert::STATE_PENDING);
  EXPECT_EQ(rejected->attempts(), 1);
  EXPECT_EQ(rejected->last_error(), "status 500");
  EXPECT_EQ(parked->state(), StoredAlert::STATE_PARKED);
  EXPECT_EQ(parked->attempts(), 2);
  EXPECT_EQ(parked->last_error(), "status 412");
}

TEST_F(AlertStoreTest, LeavesAnAcknowledgedAlertAsItIsWhenALateRejectComes) {
  const v1::Alert alert = MakeAlert();
  Publish(alert);
  ASSERT_TRUE(store_->Acknowledge(alert.alert_id()).ok());

  const auto rejected = store_->Reject(alert.alert_id(), "late", true);

  ASSERT_TRUE(rejected.ok());
  EXPECT_EQ(rejected->state(), StoredAlert::STATE_ACKNOWLEDGED);
}

TEST_F(AlertStoreTest, PrunesOnlyWhatWasAcknowledgedAndNeverReusesASequence) {
  const v1::Alert done = MakeAlert();
  const v1::Alert parked = MakeAlert();
  Publish(MakeAlert());
  Publish(parked);
  Publish(done);
  ASSERT_TRUE(store_->Acknowledge(done.alert_id()).ok());
  ASSERT_TRUE(store_->Reject(parked.alert_id(), "no", true).ok());

  ASSERT_TRUE(store_->Prune(absl::Now() - absl::Hours(1)).ok());
  EXPECT_EQ(Count(StoredAlert::STATE_UNSPECIFIED), 3U);
  ASSERT_TRUE(store_->Prune(absl::Now() + absl::Hours(1)).ok());

  EXPECT_EQ(Count(StoredAlert::STATE_UNSPECIFIED), 2U);
  EXPECT_EQ(Publish(MakeAlert()).alert().sequence(), 4);
}

TEST_F(AlertStoreTest, StartsFromAHigherSequenceButNeverFromALower) {
  ASSERT_TRUE(store_->StartFrom(1000).ok());
  EXPECT_EQ(Publish(MakeAlert()).alert().sequence(), 1000);

  ASSERT_TRUE(store_->StartFrom(5).ok());

  EXPECT_EQ(Publish(MakeAlert()).alert().sequence(), 1001);
}

TEST_F(AlertStoreTest, SaysThatStorageFailedWhenTheDiskIsFullAndLosesNothing) {
  const v1::Alert kept = MakeAlert();
  Publish(kept);
  const auto pages = database_->Query("PRAGMA page_count");
  ASSERT_TRUE(pages.ok());
  const int64_t limit = (*pages)[0].Int(0) + 4;
  ASSERT_TRUE(database_->Query(absl::StrCat("PRAGMA max_page_count = ", limit)).ok());

  v1::Alert large = MakeAlert();
  large.set_detail(std::string(60000, 'x'));
  const absl::Status status = store_->Publish(large).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_STORAGE_FAILED);
  EXPECT_EQ(Count(StoredAlert::STATE_PENDING), 1U);
  ASSERT_TRUE(database_->Query("PRAGMA max_page_count = 1000000").ok());
  EXPECT_EQ(Publish(large).alert().sequence(), 2);
}

TEST_F(AlertStoreTest, KeepsTheOrderOfEachSourceAndVmOver2000ConcurrentAlerts) {
  const std::vector<std::string> vms = {NewUuid(), NewUuid(), NewUuid(), NewUuid()};
  std::vector<std::thread> sources;
  for (const std::string source : {"vm-controller", "policy-engine"}) {
    sources.emplace_back([&, source] {
      for (int i = 0; i < 1000; ++i) Publish(MakeAlert(vms[i % 4], i / 4 + 1, source));
    });
  }
  for (std::thread& source : sources) source.join();
  Open();

  std::map<std::string, int64_t> last;
  const auto alerts = store_->List(0, StoredAlert::STATE_PENDING, 10000);
  ASSERT_TRUE(alerts.ok());
  for (const StoredAlert& stored : *alerts) {
    int64_t& previous = last[stored.alert().source() + stored.alert().virtual_machine()];
    EXPECT_EQ(stored.alert().source_sequence(), previous + 1);
    previous = stored.alert().source_sequence();
  }
  EXPECT_EQ(alerts->size(), 2000U);
  EXPECT_EQ(last.size(), 8U);
}

}  // namespace
}  // namespace virmo::alert_emitter
