// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/session_exchange.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

constexpr int kPosts = 3;

absl::StatusOr<std::string> PostPatiently(Transport& transport, const SessionStep& step, int posts,
                                          absl::Duration pause) {
  const std::string body = syncml::Encode(*step.message, syncml::Encoding::kXml);
  const std::string type(syncml::ContentType(syncml::Encoding::kXml));
  absl::StatusOr<std::string> answer;
  for (int i = 0; i < posts; ++i) {
    if (i > 0) absl::SleepFor(pause * (1 << i));
    FaultPoint("session.send");
    answer = transport.Post(step.url, type, body);
    if (answer.ok() || !absl::IsUnavailable(answer.status())) break;
  }
  FaultPoint("session.received");
  return answer;
}

absl::StatusOr<syncml::Message> Read(const std::string& body) {
  absl::StatusOr<syncml::Message> message = syncml::Decode(body, syncml::Sniff(body));
  if (message.ok()) return message;
  return Error(v1::ErrorInfo::REASON_SESSION_FAILED,
               absl::StrCat("the server's message cannot be read: ", message.status().message()));
}

}  // namespace

ExchangeResult RunExchange(Session& session, Transport& transport, absl::Duration retry_pause) {
  SessionStep step = session.Start();
  int posts = 1;
  while (step.message) {
    const absl::StatusOr<std::string> body = PostPatiently(transport, step, posts, retry_pause);
    if (!body.ok()) return {.outcome = body.status()};
    const absl::StatusOr<syncml::Message> message = Read(*body);
    if (!message.ok()) return {.outcome = message.status()};
    step = session.Receive(*message);
    posts = kPosts;
  }
  return {.outcome = step.outcome, .fall_back = step.fall_back};
}

}  // namespace virmo::dm_bridge
