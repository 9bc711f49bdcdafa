// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_engine_fixture.h"
#include "policy-engine/sharing_rules.h"

namespace virmo::policy_engine {
namespace {

using v1::SharingRule;

SharingRule Rule(const std::string& peer, SharingRule::Channel channel,
                 SharingRule::Direction direction, bool allow) {
  SharingRule rule;
  rule.set_peer(peer);
  rule.set_channel(channel);
  rule.set_direction(direction);
  rule.set_allow(allow);
  return rule;
}

class SharingTest : public PolicyEngineFixture {
 protected:
  absl::Status Set(const std::string& id, const std::vector<SharingRule>& rules,
                   bool default_allow = false) {
    v1::SetSharingRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    *request.mutable_rules() = {rules.begin(), rules.end()};
    request.set_default_allow(default_allow);
    return engine_->sharing.Set(request).status();
  }
  // `in`, `out`, `both` or `none`.
  std::string Between(const std::string& id, const std::string& peer,
                      SharingRule::Channel channel) {
    const v1::PolicyStatus status = Policy(id);
    for (const v1::SharingDecision& decision : status.policy().sharing_decisions()) {
      if (decision.peer() != Name(peer) || decision.channel() != channel) continue;
      if (decision.allow_in() && decision.allow_out()) return "both";
      return decision.allow_in() ? "in" : "out";
    }
    return "none";
  }
};

TEST_F(SharingTest, NothingIsSharedUntilBothSidesAllowIt) {
  const std::string a = GivenVm(), b = GivenVm();
  ASSERT_EQ(
      Set(a, {Rule(Name(b), SharingRule::CHANNEL_NETWORK, SharingRule::DIRECTION_BOTH, true)}),
      absl::OkStatus());
  EXPECT_EQ(Between(a, b, SharingRule::CHANNEL_NETWORK), "none");
  const int64_t version = Policy(a).policy().version();
  ASSERT_EQ(Set(b, {Rule("*", SharingRule::CHANNEL_ANY, SharingRule::DIRECTION_IN, true)}),
            absl::OkStatus());
  EXPECT_EQ(Between(a, b, SharingRule::CHANNEL_NETWORK), "out");
  EXPECT_EQ(Between(b, a, SharingRule::CHANNEL_NETWORK), "in");
  EXPECT_EQ(Between(a, b, SharingRule::CHANNEL_FILE), "none");
  EXPECT_GT(Policy(a).policy().version(), version) << "the controller would not hear of it";
}

TEST_F(SharingTest, TheMoreSpecificRuleCountsAndADenialAmongEquals) {
  v1::EffectivePolicy policy;
  const auto allows = [&](SharingRule::Channel channel) {
    return AllowsFlow(policy, "virtualMachines/p", channel, SharingRule::DIRECTION_OUT);
  };
  policy.set_sharing_default(true);
  EXPECT_TRUE(allows(SharingRule::CHANNEL_FILE));
  *policy.add_sharing() = Rule("*", SharingRule::CHANNEL_ANY, SharingRule::DIRECTION_BOTH, false);
  EXPECT_FALSE(allows(SharingRule::CHANNEL_FILE));
  *policy.add_sharing() = Rule("*", SharingRule::CHANNEL_FILE, SharingRule::DIRECTION_OUT, true);
  EXPECT_TRUE(allows(SharingRule::CHANNEL_FILE));
  // A rule that names the peer counts more than one that names the channel.
  *policy.add_sharing() =
      Rule("virtualMachines/p", SharingRule::CHANNEL_ANY, SharingRule::DIRECTION_OUT, false);
  EXPECT_FALSE(allows(SharingRule::CHANNEL_FILE));
  *policy.add_sharing() =
      Rule("virtualMachines/p", SharingRule::CHANNEL_FILE, SharingRule::DIRECTION_OUT, true);
  EXPECT_TRUE(allows(SharingRule::CHANNEL_FILE));
  *policy.add_sharing() =
      Rule("virtualMachines/p", SharingRule::CHANNEL_FILE, SharingRule::DIRECTION_BOTH, false);
  EXPECT_FALSE(allows(SharingRule::CHANNEL_FILE));
  EXPECT_FALSE(allows(SharingRule::CHANNEL_NETWORK));
}

TEST_F(SharingTest, ANewVirtualMachineIsResolvedAndADeletedOneForgotten) {
  v1::UpdateDevicePolicyRequest device;
  device.mutable_policy()->set_sharing_default(true);
  ASSERT_TRUE(engine_->sharing.UpdateDevice(device).ok());
  Reopen();
  EXPECT_TRUE(engine_->sharing.GetDevice()->sharing_default());
  const std::string a = GivenVm(), b = GivenVm();
  EXPECT_TRUE(Policy(a).policy().sharing_default());
  EXPECT_EQ(Between(a, b, SharingRule::CHANNEL_NETWORK), "both");
  ASSERT_TRUE(Send({}, false, {b}).ok());
  EXPECT_EQ(Policy(a).policy().sharing_decisions_size(), 0);
}

TEST_F(SharingTest, WhatTheHostCannotOpenIsRefusedAndNothingRecorded) {
  const std::string a = GivenVm();
  v1::ReportInventoryRequest report;
  report.set_sequence(++sequence_);
  report.set_controller_instance(instance_);
  report.set_full(true);
  *report.add_items() = Item(a, Vm::STATE_STOPPED);
  v1::OperationSupport& ability = *report.mutable_host()->add_operations();
  ability.set_operation("NetworkSharing");
  ability.set_reason("its interfaces are isolated");
  ASSERT_TRUE(engine_->inventory.Report(report).ok());
  const auto rule = [](bool allow) {
    return Rule("*", SharingRule::CHANNEL_NETWORK, SharingRule::DIRECTION_BOTH, allow);
  };
  EXPECT_EQ(ReasonOf(Set(a, {rule(true)})), v1::ErrorInfo::REASON_NOT_ENFORCEABLE);
  EXPECT_EQ(Policy(a).policy().sharing_size(), 0);
  EXPECT_EQ(Set(a, {rule(false)}), absl::OkStatus());
}

TEST_F(SharingTest, MalformedRulesAreRefused) {
  const std::string a = GivenVm();
  const auto both = SharingRule::DIRECTION_BOTH;
  for (const SharingRule& rule :
       {Rule("", SharingRule::CHANNEL_ANY, both, true),
        Rule(Name(a), SharingRule::CHANNEL_ANY, both, true),
        Rule("*", SharingRule::CHANNEL_UNSPECIFIED, both, true),
        Rule("*", SharingRule::CHANNEL_ANY, SharingRule::DIRECTION_UNSPECIFIED, true)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Set(a, {rule}))) << rule.ShortDebugString();
  }
}

}  // namespace
}  // namespace virmo::policy_engine
