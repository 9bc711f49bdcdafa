// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "google/protobuf/repeated_field.h"
#include "virmo/v1/policy.pb.h"

namespace virmo::policy_engine {

using SharingRules = google::protobuf::RepeatedPtrField<v1::SharingRule>;

// The channels that rules are resolved to.
constexpr v1::SharingRule::Channel kSharingChannels[] = {
    v1::SharingRule::CHANNEL_NETWORK, v1::SharingRule::CHANNEL_FILE,
    v1::SharingRule::CHANNEL_CLIPBOARD, v1::SharingRule::CHANNEL_IPC};

// INVALID_ARGUMENT for a rule that names nothing, or `self` as its own peer. `self` is a virtual
// machine's name.
absl::Status CheckSharingRules(const SharingRules& rules, const std::string& self);

// Whether one side allows data to flow on a channel in a direction (IN or OUT, as seen from it).
// The rule that names the peer counts before one for `*`, then the rule that names the channel
// before one for every channel; of equal ones a prohibition counts; without a rule, the default.
bool AllowsFlow(const v1::EffectivePolicy& policy, const std::string& peer,
                v1::SharingRule::Channel channel, v1::SharingRule::Direction direction);

// What `policy`'s virtual machine and `peer`'s may do with each other: the channels on which both
// sides allow something, as seen from the first. A channel that is not listed is closed.
std::vector<v1::SharingDecision> DecideSharing(const v1::EffectivePolicy& policy,
                                               const v1::EffectivePolicy& peer);

}  // namespace virmo::policy_engine
