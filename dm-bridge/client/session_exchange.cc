// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/session_exchange.h"

#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/fault_point.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/codec.h"

namespace virmo::dm_bridge {
namespace {

constexpr int kFirstPosts = 2;  // The next session is as good a retry.
constexpr int kPosts = 3;

struct Received {
  Transport::Answer answer;
  syncml::Message message;
};

// One session's way over its transport.
class Exchange {
 public:
  Exchange(Transport& transport, const ExchangeOptions& options)
      : transport_(transport), options_(options) {}

  absl::StatusOr<Received> Say(const SessionStep& step, int posts) {
    const Transport::Request request = MakeRequest(step);
    if (options_.observer) options_.observer(true, *step.message);
    absl::StatusOr<Received> received;
    for (int i = 0; i < posts; ++i) {
      if (i > 0 && !transport_.Pause(PauseBefore(i))) return absl::CancelledError("cancelled");
      FaultPoint("session.send");
      received = Post(request);
      if (received.ok() || !MayPass(received.status())) break;
    }
    FaultPoint("session.received");
    if (received.ok() && options_.observer) options_.observer(false, received->message);
    return received;
  }

 private:
  Transport::Request MakeRequest(const SessionStep& step) const {
    Transport::Request request;
    request.url = step.url;
    request.content_type = std::string(syncml::ContentType(options_.encoding));
    request.body = syncml::Encode(*step.message, options_.encoding);
    if (step.mac_key) {
      request.hmac = syncml::FormatHmacHeader(
          syncml::MakeHmacHeader(step.mac_key->identity, step.mac_key->nonce, request.body));
    }
    return request;
  }

  absl::StatusOr<Received> Post(const Transport::Request& request) {
    Received received;
    ASSIGN_OR_RETURN(received.answer, transport_.Post(request));
    const std::string& body = received.answer.body;
    absl::StatusOr<syncml::Message> message =
        syncml::Decode(body, syncml::Sniff(body), {.max_bytes = options_.max_message_bytes});
    if (!message.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the server's message cannot be read: ", message.status().message()));
    }
    received.message = *std::move(message);
    return received;
  }

  static bool MayPass(const absl::Status& status) {
    return absl::IsUnavailable(status) || absl::IsInvalidArgument(status);
  }

  absl::Duration PauseBefore(int attempt) {
    return options_.retry_pause * (1 << attempt) * absl::Uniform(random_, 0.5, 1.0);
  }

  Transport& transport_;
  const ExchangeOptions& options_;
  absl::BitGen random_;
};

absl::Status Failed(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  return Error(v1::ErrorInfo::REASON_SESSION_FAILED, status.message());
}

}  // namespace

ExchangeResult RunExchange(Session& session, Transport& transport, const ExchangeOptions& options) {
  Exchange exchange(transport, options);
  SessionStep step = session.Start();
  int posts = kFirstPosts;
  while (step.message) {
    const absl::StatusOr<Received> received = exchange.Say(step, posts);
    if (!received.ok()) {
      // One that cannot be reached cannot be told.
      const bool reached =
          !absl::IsUnavailable(received.status()) && !absl::IsCancelled(received.status());
      if (reached) exchange.Say(session.Abort(), 1).IgnoreError();
      return {.outcome = Failed(received.status())};
    }
    const Transport::Answer& answer = received->answer;
    step = session.Receive(received->message,
                           {.entity = answer.entity.empty() ? answer.body : answer.entity,
                            .body = answer.body,
                            .hmac = answer.hmac});
    posts = kPosts;
  }
  if (step.abort) exchange.Say(session.Abort(), 1).IgnoreError();
  return {.outcome = step.outcome, .fall_back = step.fall_back};
}

}  // namespace virmo::dm_bridge
