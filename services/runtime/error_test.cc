// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/error.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo {
namespace {

using v1::ErrorInfo;

std::vector<ErrorInfo::Reason> AllReasons() {
  std::vector<ErrorInfo::Reason> reasons;
  const google::protobuf::EnumDescriptor* type = ErrorInfo::Reason_descriptor();
  for (int i = 0; i < type->value_count(); ++i) {
    reasons.push_back(static_cast<ErrorInfo::Reason>(type->value(i)->number()));
  }
  return reasons;
}

class EveryReasonTest : public ::testing::TestWithParam<ErrorInfo::Reason> {};

TEST_P(EveryReasonTest, SurvivesTheWireWithCodeMessageAndMetadata) {
  const absl::Status sent = Error(GetParam(), "cannot do it", {{"state", "STOPPED"}});

  const absl::Status received = FromGrpc(ToGrpc(sent));

  EXPECT_EQ(received, sent);
  EXPECT_EQ(received.code(), CodeOf(GetParam()));
  EXPECT_EQ(ReasonOf(received), GetParam());
  EXPECT_EQ(ErrorInfoOf(received).metadata().at("state"), "STOPPED");
  EXPECT_EQ(FromRpc(ToRpc(sent)), sent);
}

TEST_P(EveryReasonTest, HasCodesThatAreLegal) {
  EXPECT_FALSE(absl::Status(CodeOf(GetParam()), "").ok());
  EXPECT_GE(ResultCodeOf(GetParam()), 1201);
  EXPECT_LE(ResultCodeOf(GetParam()), 1599);
  EXPECT_GE(DmStatusOf(GetParam()), 200);
  EXPECT_LT(DmStatusOf(GetParam()), 600);
}

INSTANTIATE_TEST_SUITE_P(Reasons, EveryReasonTest, ::testing::ValuesIn(AllReasons()),
                         [](const auto& test) { return ErrorInfo::Reason_Name(test.param); });

TEST(ErrorTest, CodesOfAReasonComeFromTheProto) {
  EXPECT_EQ(ResultCodeOf(ErrorInfo::REASON_VM_LOCKED), 1420);
  EXPECT_EQ(DmStatusOf(ErrorInfo::REASON_INSUFFICIENT_RESOURCES), 420);
  EXPECT_EQ(CodeOf(ErrorInfo::REASON_STALE_ETAG), absl::StatusCode::kAborted);
}

TEST(ErrorTest, AReasonOfANewerPeerIsKeptAndCountsAsUnspecified) {
  const auto unknown = static_cast<ErrorInfo::Reason>(999);

  EXPECT_EQ(ReasonOf(FromGrpc(ToGrpc(Error(unknown, "new")))), unknown);
  EXPECT_EQ(ResultCodeOf(unknown), ResultCodeOf(ErrorInfo::REASON_UNSPECIFIED));
}

TEST(ErrorTest, APeerThatIsDownIsServiceUnavailable) {
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::StatusCode::UNAVAILABLE, "connect failed"));

  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "connect failed");
  EXPECT_EQ(ReasonOf(status), ErrorInfo::REASON_SERVICE_UNAVAILABLE);
}

TEST(ErrorTest, APlainStatusGetsAnErrorInfoOnItsWayOut) {
  const absl::Status received = FromGrpc(ToGrpc(absl::NotFoundError("gone")));

  EXPECT_EQ(received.message(), "gone");
  EXPECT_EQ(ToRpc(received).details_size(), 1);
  EXPECT_EQ(ReasonOf(received), ErrorInfo::REASON_NOT_FOUND);
}

TEST(ErrorTest, DetailsThatContradictTheCodeAreNotBelieved) {
  const grpc::Status wrong(grpc::StatusCode::INTERNAL, "odd",
                           ToRpc(Error(ErrorInfo::REASON_BUSY, "busy")).SerializeAsString());

  EXPECT_EQ(FromGrpc(wrong).code(), absl::StatusCode::kInternal);
}

TEST(ErrorTest, OkStaysOk) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpc(grpc::Status::OK).ok());
  EXPECT_TRUE(FromRpc(ToRpc(absl::OkStatus())).ok());
  EXPECT_TRUE(Annotate(absl::OkStatus(), "context").ok());
}

TEST(ErrorTest, AnnotateKeepsReasonFieldAndCode) {
  const absl::Status status = Annotate(InvalidField("package.sha256", "is empty"), "provision");

  EXPECT_EQ(status.message(), "provision: package.sha256: is empty");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorInfoOf(status).field(), "package.sha256");
}

}  // namespace
}  // namespace virmo
