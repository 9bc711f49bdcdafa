// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/interrupt.h"
#include "services/cli/peer.h"
#include "services/cli/watch_stream.h"
#include "services/runtime/error.h"

namespace virmo::cli {

// Whether it makes sense to open a broken stream again: the server, or the way to it, went away.
// Not when it said no.
bool IsWorthRetrying(const grpc::Status& status);

// Follows a Watch stream through breaks: opens it again when it ends, or is silent for 30 s
// (streams send a sign of life every 10 s). Returns when `on_message` says so; with
// DEADLINE_EXCEEDED when --timeout is over, CANCELLED (exit code 130) on Ctrl-C, UNAVAILABLE when
// the server was away for a minute, or what the server said if it refused.
template <typename Response>
class Watcher {
 public:
  using Stream = WatchStream<Response>;

  struct Callbacks {
    // Opens the stream; asked anew each time, so that it can go on where it stopped.
    typename Stream::Open open;
    // Returns true when there is nothing more to wait for.
    std::function<bool(const Response&)> on_message;
    // Several times a second while nothing comes. Returns true when it has waited enough.
    std::function<bool()> on_tick = [] { return false; };
    // The server ended the stream by itself: true if that was to be expected.
    std::function<bool()> on_end = [] { return false; };
  };

  Watcher(Context& context, const Peer& peer, Callbacks callbacks)
      : context_(context), peer_(peer), callbacks_(std::move(callbacks)) {}

  absl::Status Run(absl::string_view goal) {
    const InterruptNote interrupt;
    const absl::Time deadline = context_.WaitDeadline();
    absl::Time last_heard = absl::Now();
    absl::Duration pause = absl::Milliseconds(100);
    while (true) {
      grpc::Status status;
      {
        Stream stream(callbacks_.open);
        switch (Follow(stream, interrupt, deadline)) {
          case Outcome::kDone:
            return absl::OkStatus();
          case Outcome::kInterrupted:
            return Interrupted(goal);
          case Outcome::kTimedOut:
            return TimedOut(goal);
          case Outcome::kBroken:
            break;
        }
        status = stream.status();
        last_heard = std::max(last_heard, stream.heard());
        if (stream.heard() > stream.opened()) {
          pause = absl::Milliseconds(100);
          told_ = false;
        }
      }
      if (status.ok() && callbacks_.on_end()) return absl::OkStatus();
      if (!IsWorthRetrying(status)) return peer_.Explain(status, goal);
      if (absl::Now() - last_heard > kPatience) return peer_.Explain(Gone(status), goal);
      TellOfBreak();
      if (!Rest(pause, interrupt, deadline)) continue;
      pause = std::min(pause * 2, absl::Seconds(2));
    }
  }

 private:
  enum class Outcome { kDone, kBroken, kInterrupted, kTimedOut };
  static constexpr absl::Duration kTick = absl::Milliseconds(100);
  static constexpr absl::Duration kSilence = absl::Seconds(30);
  static constexpr absl::Duration kPatience = absl::Seconds(60);

  Outcome Follow(Stream& stream, const InterruptNote& interrupt, absl::Time deadline) {
    Response response;
    while (true) {
      if (interrupt.IsInterrupted()) return Outcome::kInterrupted;
      switch (stream.Next(std::min(kTick, deadline - absl::Now()), &response)) {
        case Stream::Event::kMessage:
          if (callbacks_.on_message(response)) return Outcome::kDone;
          break;
        case Stream::Event::kNothingYet:
          if (callbacks_.on_tick()) return Outcome::kDone;
          if (absl::Now() - std::max(stream.heard(), stream.opened()) > kSilence) {
            return Outcome::kBroken;
          }
          break;
        case Stream::Event::kEnd:
          return Outcome::kBroken;
      }
      if (absl::Now() >= deadline) return Outcome::kTimedOut;
    }
  }

  // False if there is no use in resting on: the loop will see why.
  bool Rest(absl::Duration pause, const InterruptNote& interrupt, absl::Time deadline) {
    const absl::Time end = std::min(absl::Now() + pause, deadline);
    while (absl::Now() < end) {
      if (interrupt.IsInterrupted()) return false;
      absl::SleepFor(std::min(kTick, end - absl::Now()));
      if (callbacks_.on_tick()) return false;
    }
    return true;
  }

  void TellOfBreak() {
    if (told_ || context_.json()) return;
    told_ = true;
    context_.Note(
        absl::StrCat("virmo: lost the connection to ", peer_.address(), "; trying again\n"));
  }

  // A stream that was only silent has no error of its own.
  static grpc::Status Gone(const grpc::Status& status) {
    return status.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "the stream fell silent")
                       : status;
  }

  static absl::Status Interrupted(absl::string_view goal) {
    return WithExitCode(Error(v1::ErrorInfo::REASON_CANCELLED,
                              absl::StrCat("stopped waiting to ", goal, ": interrupted")),
                        ExitCode::kInterrupted);
  }

  absl::Status TimedOut(absl::string_view goal) const {
    return Error(v1::ErrorInfo::REASON_TIMED_OUT,
                 absl::StrCat("stopped waiting to ", goal, ": not done after ",
                              absl::FormatDuration(*context_.settings().timeout)));
  }

  Context& context_;
  const Peer& peer_;
  const Callbacks callbacks_;
  bool told_ = false;
};

}  // namespace virmo::cli
