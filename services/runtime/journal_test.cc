// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/journal.h"

#include "gmock/gmock.h"
#include "google/protobuf/wrappers.pb.h"
#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/operations_service.h"
#include "services/runtime/testing.h"
#include "services/runtime/uuid.h"

namespace virmo {
namespace {

using google::longrunning::Operation;
using google::protobuf::StringValue;

constexpr char kId[] = "00000000-0000-4000-8000-000000000001";
constexpr char kOther[] = "00000000-0000-4000-8000-000000000002";

StringValue Value(const std::string& text) {
  StringValue value;
  value.set_value(text);
  return value;
}

v1::OperationMetadata Start() {
  v1::OperationMetadata metadata;
  metadata.set_target("virtualMachines/work");
  metadata.set_kind(v1::OPERATION_KIND_START);
  metadata.mutable_initiator()->set_server_id("server");
  return metadata;
}

v1::OperationMetadata MetadataOf(const Operation& operation) {
  v1::OperationMetadata metadata;
  EXPECT_TRUE(operation.metadata().UnpackTo(&metadata));
  return metadata;
}

class JournalTest : public ::testing::Test {
 protected:
  JournalTest() { Reopen(); }

  void Reopen() {
    journal_.reset();
    database_.reset();
    database_ = *Database::Open(dir_ / "test.db", {OperationJournal::GetSchema()});
    journal_.emplace(*database_);
  }

  testing::TempDir dir_;
  std::unique_ptr<Database> database_;
  std::optional<OperationJournal> journal_;
};

TEST_F(JournalTest, TheFirstRequestIsNew) {
  EXPECT_EQ(*journal_->FindRequest(kId, Value("a")), std::nullopt);
}

TEST_F(JournalTest, ARepeatedRequestReturnsTheFirstOperationAlsoAfterARestart) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  Reopen();

  const auto found = journal_->FindRequest(kId, Value("a"));

  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->name(), std::string("operations/") + kId);
  EXPECT_FALSE((*found)->done());
  const v1::OperationMetadata metadata = MetadataOf(**found);
  EXPECT_EQ(metadata.kind(), v1::OPERATION_KIND_START);
  EXPECT_EQ(metadata.initiator().server_id(), "server");
  EXPECT_EQ(metadata.alert_id(), NameUuid(kId, "alert"));
  EXPECT_TRUE(metadata.has_create_time());
}

TEST_F(JournalTest, AnIdReusedForAnotherRequestIsRefused) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());

  const absl::Status content = journal_->FindRequest(kId, Value("b")).status();
  const absl::Status type = journal_->FindRequest(kId, google::protobuf::BytesValue()).status();

  EXPECT_EQ(ReasonOf(content), v1::ErrorInfo::REASON_REQUEST_ID_REUSED);
  EXPECT_EQ(content.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(type), v1::ErrorInfo::REASON_REQUEST_ID_REUSED);
}

TEST_F(JournalTest, ARequestIdMustBeAUuid) {
  for (const char* id : {"", "1", "00000000-0000-4000-8000-00000000000G"}) {
    EXPECT_EQ(ErrorInfoOf(journal_->FindRequest(id, Value("a")).status()).field(), "request_id");
  }
}

TEST_F(JournalTest, ASuccessHasResponseAndResultCode) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());

  const StringValue response = Value("made");
  ASSERT_TRUE(journal_->Finish(kId, absl::OkStatus(), &response).ok());

  const Operation operation = *journal_->GetOperation(kId);
  StringValue unpacked;
  EXPECT_TRUE(operation.done());
  EXPECT_TRUE(operation.response().UnpackTo(&unpacked));
  EXPECT_EQ(unpacked.value(), "made");
  EXPECT_EQ(MetadataOf(operation).result_code(), 1200);
  EXPECT_EQ(MetadataOf(operation).progress_percent(), 100);
  EXPECT_TRUE(MetadataOf(operation).has_end_time());
}

TEST_F(JournalTest, AFailureHasItsErrorAndTheResultCodeOfItsReason) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  const absl::Status failure = Error(v1::ErrorInfo::REASON_START_FAILED, "no boot disk");

  ASSERT_TRUE(journal_->Finish(kId, failure).ok());

  const Operation operation = *journal_->GetOperation(kId);
  EXPECT_TRUE(operation.done());
  EXPECT_EQ(FromRpc(operation.error()), failure);
  EXPECT_EQ(MetadataOf(operation).result_code(), 1409);
}

TEST_F(JournalTest, TheFirstOutcomeStands) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  ASSERT_TRUE(journal_->Finish(kId, absl::OkStatus()).ok());
  const std::string first = journal_->GetOperation(kId)->SerializeAsString();

  EXPECT_TRUE(journal_->Finish(kId, absl::InternalError("later")).ok());
  EXPECT_FALSE(journal_->SetStep(kId, "late").ok());

  EXPECT_EQ(journal_->GetOperation(kId)->SerializeAsString(), first);
}

TEST_F(JournalTest, AnOperationDoneAtOnceHasNoAlert) {
  ASSERT_TRUE(journal_->InsertDone(kId, Start(), Value("a"), absl::OkStatus(), nullptr).ok());

  const Operation operation = **journal_->FindRequest(kId, Value("a"));

  EXPECT_TRUE(operation.done());
  EXPECT_EQ(MetadataOf(operation).alert_id(), "");
  EXPECT_EQ(MetadataOf(operation).result_code(), 1200);
  EXPECT_TRUE(journal_->Unfinished()->empty());
}

TEST_F(JournalTest, UnfinishedOperationsAreFoundAfterARestartWithTheirLastStep) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("first")).ok());
  ASSERT_TRUE(journal_->Insert(kOther, Start(), Value("second")).ok());
  ASSERT_TRUE(journal_->Insert(NewUuid(), Start(), Value("ended")).ok());
  ASSERT_TRUE(journal_->Finish(journal_->Unfinished()->back().id, absl::OkStatus()).ok());
  const StringValue state = Value("offset=7");
  ASSERT_TRUE(journal_->SetStep(kOther, "fetch", &state).ok());
  ASSERT_TRUE(journal_->SetStep(kOther, "verify").ok());
  Reopen();

  const auto entries = *journal_->Unfinished();

  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].id, kId);
  EXPECT_EQ(entries[1].metadata.step(), "verify");
  StringValue unpacked;
  ASSERT_TRUE(entries[1].state.UnpackTo(&unpacked));
  EXPECT_EQ(unpacked.value(), "offset=7");
  ASSERT_TRUE(entries[1].request.UnpackTo(&unpacked));
  EXPECT_EQ(unpacked.value(), "second");
}

TEST_F(JournalTest, ARolledBackAcceptanceLeavesNothingAndTellsNobody) {
  Broadcast<v1::OperationEvent>::Subscription subscription(journal_->events());

  EXPECT_FALSE(database_
                   ->Transact([&]() -> absl::Status {
                     EXPECT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
                     return absl::AbortedError("no");
                   })
                   .ok());

  v1::OperationEvent event;
  EXPECT_EQ(subscription.Next(absl::ZeroDuration(), &event),
            decltype(subscription)::State::kTimeout);
  EXPECT_TRUE(absl::IsNotFound(journal_->Get(kId).status()));
}

TEST_F(JournalTest, WatchersHearOfAcceptanceStepCancelAndEndInOrder) {
  Broadcast<v1::OperationEvent>::Subscription subscription(journal_->events());
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  ASSERT_TRUE(journal_->SetStep(kId, "define").ok());
  ASSERT_TRUE(journal_->RequestCancel(kId).ok());
  ASSERT_TRUE(journal_->Finish(kId, Error(v1::ErrorInfo::REASON_CANCELLED, "cancelled")).ok());

  std::vector<v1::OperationEvent> events(4);
  for (v1::OperationEvent& event : events) {
    ASSERT_EQ(subscription.Next(absl::ZeroDuration(), &event),
              decltype(subscription)::State::kEvent);
  }

  EXPECT_EQ(events[0].metadata().step(), "");
  EXPECT_EQ(events[1].metadata().step(), "define");
  EXPECT_TRUE(events[2].metadata().cancel_requested());
  EXPECT_FALSE(events[2].done());
  EXPECT_TRUE(events[3].done());
  EXPECT_EQ(events[3].error_message(), "cancelled");
}

TEST_F(JournalTest, ProgressNeverDecreasesAndIsToldSparingly) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  Broadcast<v1::OperationEvent>::Subscription subscription(journal_->events());

  for (int percent = 0; percent <= 50; ++percent) journal_->SetProgress(kId, percent, percent, 100);
  journal_->SetProgress(kId, 20, 51, 100);

  const v1::OperationMetadata metadata = MetadataOf(*journal_->GetOperation(kId));
  EXPECT_EQ(metadata.progress_percent(), 50);
  EXPECT_EQ(metadata.bytes_done(), 51);
  int told = 0;
  v1::OperationEvent event;
  while (subscription.Next(absl::ZeroDuration(), &event) == decltype(subscription)::State::kEvent) {
    ++told;
  }
  EXPECT_GE(told, 1);
  EXPECT_LT(told, 40);
}

TEST_F(JournalTest, CancellingIsRememberedAndADoneOperationStaysAsItIs) {
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  ASSERT_TRUE(journal_->Insert(kOther, Start(), Value("b")).ok());
  ASSERT_TRUE(journal_->Finish(kOther, absl::OkStatus()).ok());

  EXPECT_TRUE(journal_->RequestCancel(kId).ok());
  EXPECT_TRUE(journal_->RequestCancel(kId).ok());
  EXPECT_TRUE(journal_->RequestCancel(kOther).ok());
  EXPECT_TRUE(absl::IsNotFound(journal_->RequestCancel(NewUuid())));
  Reopen();

  EXPECT_TRUE(journal_->IsCancelRequested(kId));
  EXPECT_FALSE(journal_->IsCancelRequested(kOther));
}

TEST_F(JournalTest, PagesListEveryOperationOnceNewestFirst) {
  std::vector<std::string> inserted;
  for (int i = 0; i < 7; ++i) {
    inserted.insert(inserted.begin(), NewUuid());
    ASSERT_TRUE(journal_->Insert(inserted.front(), Start(), Value("a")).ok());
  }

  std::vector<std::string> listed;
  std::string token;
  std::vector<int> sizes;
  do {
    const auto page = *journal_->List(3, token);
    for (const Operation& operation : page.operations())
      listed.push_back(operation.name().substr(11));
    sizes.push_back(page.operations_size());
    token = page.next_page_token();
  } while (!token.empty());

  EXPECT_EQ(listed, inserted);
  EXPECT_THAT(sizes, ::testing::ElementsAre(3, 3, 1));
  EXPECT_EQ(journal_->List(0, "")->operations_size(), 7);
}

TEST_F(JournalTest, ForeignPageTokensAndSizesAreRefused) {
  EXPECT_EQ(ErrorInfoOf(journal_->List(3, "x").status()).field(), "page_token");
  EXPECT_EQ(ErrorInfoOf(journal_->List(-1, "").status()).field(), "page_size");
}

TEST_F(JournalTest, PruneRemovesOnlyWhatEndedLongAgo) {
  for (const char* id : {kId, kOther}) {
    ASSERT_TRUE(journal_->Insert(id, Start(), Value("a")).ok());
    ASSERT_TRUE(journal_->Finish(id, absl::OkStatus()).ok());
  }
  const std::string running = NewUuid();
  ASSERT_TRUE(journal_->Insert(running, Start(), Value("a")).ok());
  const int64_t day_ms = 24 * 3600 * 1000;
  ASSERT_TRUE(database_
                  ->Execute("UPDATE operations SET end_ms = end_ms - ?2 WHERE id = ?1",
                            {std::string(kId), 31 * day_ms})
                  .ok());
  ASSERT_TRUE(database_
                  ->Execute("UPDATE operations SET end_ms = end_ms - ?2 WHERE id = ?1",
                            {std::string(kOther), 29 * day_ms})
                  .ok());

  ASSERT_TRUE(journal_->Prune().ok());

  EXPECT_TRUE(absl::IsNotFound(journal_->Get(kId).status()));
  EXPECT_TRUE(journal_->Get(kOther).ok());
  EXPECT_TRUE(journal_->Get(running).ok());
}

TEST_F(JournalTest, TheServiceWaitsForTheEndOfAnOperation) {
  OperationsService service(*journal_);
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  grpc::ServerContext context;
  google::longrunning::WaitOperationRequest request;
  request.set_name(std::string("operations/") + kId);
  std::thread ender([&] { EXPECT_TRUE(journal_->Finish(kId, absl::OkStatus()).ok()); });

  Operation operation;
  const grpc::Status status = service.WaitOperation(&context, &request, &operation);

  ender.join();
  EXPECT_TRUE(status.ok());
  EXPECT_TRUE(operation.done());
}

TEST_F(JournalTest, TheServiceReturnsAnUnfinishedOperationWhenTheTimeIsUp) {
  OperationsService service(*journal_);
  ASSERT_TRUE(journal_->Insert(kId, Start(), Value("a")).ok());
  grpc::ServerContext context;
  google::longrunning::WaitOperationRequest request;
  request.set_name(std::string("operations/") + kId);
  request.mutable_timeout()->set_nanos(1000000);

  Operation operation;
  const grpc::Status status = service.WaitOperation(&context, &request, &operation);

  EXPECT_TRUE(status.ok());
  EXPECT_EQ(operation.name(), request.name());
  EXPECT_FALSE(operation.done());
}

TEST_F(JournalTest, TheServiceRefusesFiltersAndForeignNames) {
  OperationsService service(*journal_);
  grpc::ServerContext context;
  google::longrunning::ListOperationsRequest list;
  list.set_filter("done=true");
  google::longrunning::ListOperationsResponse listed;
  google::longrunning::GetOperationRequest get;
  get.set_name("virtualMachines/x");
  Operation operation;

  EXPECT_EQ(service.ListOperations(&context, &list, &listed).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(service.GetOperation(&context, &get, &operation).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  google::longrunning::DeleteOperationRequest remove;
  google::protobuf::Empty empty;
  EXPECT_EQ(service.DeleteOperation(&context, &remove, &empty).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace virmo
