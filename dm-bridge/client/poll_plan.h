// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/time/time.h"
#include "virmo/config/v1/dm_bridge_config.pb.h"

namespace virmo::dm_bridge {

// How long to wait for the next session when nobody asks for one: short after enrolment, while
// something goes on, and for a minute after; then longer from session to session, up to the usual
// interval; after long quiet up to the longest. A value, without clock.
class PollPlan {
 public:
  // `enrolled_now`: no session with this server ever went well.
  PollPlan(const config::v1::DmBridgeConfig& config, bool enrolled_now, absl::Time now);

  // A session went well. `busy`: it brought commands, or operations of the server's run.
  // Returns the pause until the next.
  absl::Duration AfterSession(absl::Time now, bool busy);

 private:
  const absl::Duration shortest_;
  const absl::Duration usual_;
  const absl::Duration longest_;
  absl::Time busy_until_;
  absl::Duration pause_;
  int quiet_ = 0;  // Sessions at the usual interval that brought nothing.
};

}  // namespace virmo::dm_bridge
