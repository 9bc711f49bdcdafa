// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/trace_feed.h"

#include "absl/time/clock.h"
#include "services/syncml/codec.h"
#include "services/syncml/redact.h"

namespace virmo::dm_bridge {

void TraceFeed::Publish(const std::string& server_id, bool sent, const syncml::Message& message) {
  if (watchers_ == 0) return;
  const absl::Time now = absl::Now();
  Event event;
  event.mutable_time()->set_seconds(absl::ToUnixSeconds(now));
  event.mutable_time()->set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(now - absl::FromUnixSeconds(event.time().seconds()))));
  event.set_server_id(server_id);
  event.set_sent(sent);
  event.set_syncml(syncml::Encode(syncml::Redact(message), syncml::Encoding::kXml));
  events_.Publish(event);
}

}  // namespace virmo::dm_bridge
