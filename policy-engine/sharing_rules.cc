// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/sharing_rules.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::policy_engine {
namespace {

using v1::SharingRule;

constexpr int kMaxRules = 256;

// 0 if the rule says nothing about this flow; else the greater the more specific.
int Specificity(const SharingRule& rule, const std::string& peer, SharingRule::Channel channel,
                SharingRule::Direction direction) {
  if (rule.direction() != direction && rule.direction() != SharingRule::DIRECTION_BOTH) return 0;
  const bool names_peer = rule.peer() == peer;
  const bool names_channel = rule.channel() == channel;
  if (!names_peer && rule.peer() != "*") return 0;
  if (!names_channel && rule.channel() != SharingRule::CHANNEL_ANY) return 0;
  return 1 + (names_peer ? 2 : 0) + (names_channel ? 1 : 0);
}

}  // namespace

absl::Status CheckSharingRules(const SharingRules& rules, const std::string& self) {
  if (rules.size() > kMaxRules) {
    return InvalidField(
        "rules", absl::StrCat(rules.size(), " are given; at most ", kMaxRules, " are taken"));
  }
  for (int i = 0; i < rules.size(); ++i) {
    const SharingRule& rule = rules[i];
    const std::string field = absl::StrCat("rules[", i, "]");
    if (rule.peer() != "*") {
      RETURN_IF_ERROR(VirtualMachineId(rule.peer(), absl::StrCat(field, ".peer")).status());
    }
    if (rule.peer() == self) {
      return InvalidField(absl::StrCat(field, ".peer"), "is the virtual machine itself");
    }
    if (!SharingRule::Channel_IsValid(rule.channel()) ||
        rule.channel() == SharingRule::CHANNEL_UNSPECIFIED) {
      return InvalidField(absl::StrCat(field, ".channel"), "must name a channel");
    }
    if (!SharingRule::Direction_IsValid(rule.direction()) ||
        rule.direction() == SharingRule::DIRECTION_UNSPECIFIED) {
      return InvalidField(absl::StrCat(field, ".direction"), "must be in, out or both");
    }
  }
  return absl::OkStatus();
}

bool AllowsFlow(const v1::EffectivePolicy& policy, const std::string& peer,
                SharingRule::Channel channel, SharingRule::Direction direction) {
  int best = 0;
  bool allow = policy.sharing_default();
  for (const SharingRule& rule : policy.sharing()) {
    const int specificity = Specificity(rule, peer, channel, direction);
    if (specificity == 0 || specificity < best) continue;
    allow = specificity == best ? allow && rule.allow() : rule.allow();
    best = specificity;
  }
  return allow;
}

std::vector<v1::SharingDecision> DecideSharing(const v1::EffectivePolicy& policy,
                                               const v1::EffectivePolicy& peer) {
  std::vector<v1::SharingDecision> decisions;
  for (const SharingRule::Channel channel : kSharingChannels) {
    const auto flows = [&](const v1::EffectivePolicy& from, const v1::EffectivePolicy& to) {
      return AllowsFlow(from, to.virtual_machine(), channel, SharingRule::DIRECTION_OUT) &&
             AllowsFlow(to, from.virtual_machine(), channel, SharingRule::DIRECTION_IN);
    };
    v1::SharingDecision decision;
    decision.set_peer(peer.virtual_machine());
    decision.set_channel(channel);
    decision.set_allow_out(flows(policy, peer));
    decision.set_allow_in(flows(peer, policy));
    if (decision.allow_out() || decision.allow_in()) decisions.push_back(decision);
  }
  return decisions;
}

}  // namespace virmo::policy_engine
