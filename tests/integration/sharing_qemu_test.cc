// SPDX-License-Identifier: Apache-2.0
// Two running guests on one bridge (VirMO-HLF-07): they reach each other exactly while both
// policies allow it; what else passes the bridge goes on.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/integration/guest_fixture.h"

namespace virmo::testing_support {
namespace {

class SharingQemuTest : public GuestFixture {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root to make a bridge";
    if (access(VIRMO_GUEST_IMAGE, R_OK) != 0) GTEST_SKIP() << "no guest image";
    bridge_ = absl::StrCat("vs", getpid());
    ASSERT_EQ(RunToEnd({"ip", "link", "add", "name", bridge_, "type", "bridge"}).exit_code, 0);
    ASSERT_EQ(RunToEnd({"ip", "address", "add", "10.77.0.1/24", "dev", bridge_}).exit_code, 0);
    ASSERT_EQ(RunToEnd({"ip", "link", "set", bridge_, "up"}).exit_code, 0);
    StartDevice(absl::StrCat("networks { source: 'bridge:", bridge_, "' }\n"));
    a_ = Provision("a", VIRMO_GUEST_IMAGE, 96);
    b_ = Provision("b", VIRMO_GUEST_IMAGE, 96);
    StartGuest(a_);
    StartGuest(b_);
    Shell(a_, absl::StrCat("ifconfig eth0 ", kA, " netmask 255.255.255.0 up"));
    Shell(b_, absl::StrCat("ifconfig eth0 ", kB, " netmask 255.255.255.0 up"));
  }
  void TearDown() override {
    GuestFixture::TearDown();
    if (!bridge_.empty()) RunToEnd({"ip", "link", "delete", bridge_});
  }

  absl::Status Share(const std::string& id, const std::string& peer, bool allow) {
    v1::SetSharingRequest request;
    request.set_virtual_machine(VirtualMachineName(id));
    request.set_request_id(NewUuid());
    v1::SharingRule& rule = *request.add_rules();
    rule.set_peer(VirtualMachineName(peer));
    rule.set_channel(v1::SharingRule::CHANNEL_NETWORK);
    rule.set_direction(v1::SharingRule::DIRECTION_BOTH);
    rule.set_allow(allow);
    grpc::ClientContext context;
    v1::PolicyStatus status;
    return FromGrpc(stack_->policy().SetSharing(&context, request, &status));
  }
  bool Reaches(const std::string& from, const std::string& address) {
    return absl::StrContains(
        Shell(from, absl::StrCat("ping -c 1 -W 1 ", address, " >/dev/null && echo REA''CHED")),
        "REACHED");
  }
  bool InForce(const std::string& id) {
    const v1::PolicyStatus status = Policy(id);
    return status.applied_version() == status.policy().version();
  }

  static constexpr char kHost[] = "10.77.0.1";
  static constexpr char kA[] = "10.77.0.2";
  static constexpr char kB[] = "10.77.0.3";
  std::string bridge_, a_, b_;
};

TEST_F(SharingQemuTest, GuestsReachEachOtherExactlyWhileBothAllowIt) {
  ASSERT_TRUE(Soon([&] { return Reaches(a_, kHost) && Reaches(b_, kHost); }));
  EXPECT_FALSE(Reaches(a_, kB)) << "default deny";
  EXPECT_FALSE(Reaches(b_, kA));

  ASSERT_EQ(Share(a_, b_, true), absl::OkStatus());
  EXPECT_FALSE(Reaches(a_, kB)) << "one side alone opens nothing";
  absl::Time decided = absl::Now();
  ASSERT_EQ(Share(b_, a_, true), absl::OkStatus());
  Took([&] { return InForce(a_) && InForce(b_); });
  std::printf("sharing opened: %ld ms\n", absl::ToInt64Milliseconds(absl::Now() - decided));
  EXPECT_TRUE(Reaches(a_, kB));
  EXPECT_TRUE(Reaches(b_, kA));

  decided = absl::Now();
  ASSERT_EQ(Share(a_, b_, false), absl::OkStatus());
  Took([&] { return InForce(a_) && InForce(b_); });
  std::printf("sharing closed: %ld ms\n", absl::ToInt64Milliseconds(absl::Now() - decided));
  EXPECT_FALSE(Reaches(a_, kB));
  EXPECT_FALSE(Reaches(b_, kA));
  EXPECT_TRUE(Reaches(a_, kHost)) << "other traffic goes on";
  EXPECT_TRUE(Reaches(b_, kHost));

  ASSERT_EQ(Share(a_, b_, true), absl::OkStatus());
  Took([&] { return InForce(a_) && InForce(b_); });
  EXPECT_TRUE(Reaches(a_, kB));
  ASSERT_EQ(Lock(b_), absl::OkStatus());
  EXPECT_FALSE(Reaches(a_, kB)) << "a locked one shares nothing";
  EXPECT_TRUE(Reaches(a_, kHost));
  ASSERT_EQ(Unlock(b_), absl::OkStatus());
  EXPECT_TRUE(Soon([&] { return Reaches(a_, kB); }));

  stack_->Kill9(Stack::kVmController);
  stack_->Start(Stack::kVmController);
  stack_->AwaitHealthy(Stack::kVmController);
  EXPECT_TRUE(Soon([&] { return Reaches(a_, kB); })) << "after a restart of the controller";
}

TEST_F(SharingQemuTest, WhatThisHostCannotOpenIsRefused) {
  v1::SetSharingRequest request;
  request.set_virtual_machine(VirtualMachineName(a_));
  v1::SharingRule& rule = *request.add_rules();
  rule.set_peer("*");
  rule.set_channel(v1::SharingRule::CHANNEL_CLIPBOARD);
  rule.set_direction(v1::SharingRule::DIRECTION_BOTH);
  rule.set_allow(true);
  grpc::ClientContext context;
  v1::PolicyStatus status;
  EXPECT_EQ(ReasonOf(FromGrpc(stack_->policy().SetSharing(&context, request, &status))),
            v1::ErrorInfo::REASON_NOT_ENFORCEABLE);
}

}  // namespace
}  // namespace virmo::testing_support
