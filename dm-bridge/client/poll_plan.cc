// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/poll_plan.h"

#include <algorithm>

namespace virmo::dm_bridge {
namespace {

constexpr absl::Duration kBusyTime = absl::Minutes(1);
constexpr int kLongQuiet = 12;

absl::Duration AtLeastASecond(int seconds) { return absl::Seconds(std::max(seconds, 1)); }

}  // namespace

PollPlan::PollPlan(const config::v1::DmBridgeConfig& config, bool enrolled_now, absl::Time now)
    : shortest_(AtLeastASecond(config.min_poll_interval_seconds())),
      usual_(std::max(shortest_, AtLeastASecond(config.poll_interval_seconds()))),
      longest_(std::max(usual_, absl::Seconds(config.max_poll_interval_seconds()))),
      busy_until_(enrolled_now ? now + kBusyTime : absl::InfinitePast()),
      pause_(enrolled_now ? shortest_ : usual_) {}

absl::Duration PollPlan::AfterSession(absl::Time now, bool busy) {
  if (busy) busy_until_ = now + kBusyTime;
  if (now < busy_until_) {
    quiet_ = 0;
    pause_ = shortest_;
  } else if (pause_ < usual_) {
    pause_ = std::min(pause_ * 2, usual_);
  } else if (++quiet_ > kLongQuiet) {
    pause_ = std::min(pause_ * 2, longest_);
  }
  return pause_;
}

}  // namespace virmo::dm_bridge
