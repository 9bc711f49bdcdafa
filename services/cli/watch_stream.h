// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/support/async_stream.h"

namespace virmo::cli {

// A server's stream, read on one thread without being stuck in it: the reader can look at the
// clock, the terminal and Ctrl-C between messages.
template <typename Response>
class WatchStream {
 public:
  enum class Event { kMessage, kNothingYet, kEnd };
  using Reader = std::unique_ptr<grpc::ClientAsyncReader<Response>>;
  // Begins the call: `stub.AsyncWatchX(context, request, queue, tag)`.
  using Open = std::function<Reader(grpc::ClientContext*, grpc::CompletionQueue*, void*)>;

  explicit WatchStream(const Open& open)
      : reader_(open(&context_, &queue_, this)), opened_(absl::Now()) {}

  ~WatchStream() {
    context_.TryCancel();
    Response ignored;
    while (!ended_) Next(absl::Seconds(1), &ignored);
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;

  // Waits for the next message, at most for `timeout`. After kEnd, status() tells why.
  Event Next(absl::Duration timeout, Response* message) {
    const auto deadline = absl::ToChronoTime(absl::Now() + timeout);
    while (!ended_) {
      void* tag = nullptr;
      bool ok = false;
      if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) {
        return Event::kNothingYet;
      }
      if (finishing_) {
        ended_ = true;
      } else if (!ok) {
        finishing_ = true;
        reader_->Finish(&status_, this);
      } else if (!started_) {
        started_ = true;
        reader_->Read(&incoming_, this);
      } else {
        *message = std::move(incoming_);
        incoming_ = Response();
        heard_ = absl::Now();
        reader_->Read(&incoming_, this);
        return Event::kMessage;
      }
    }
    return Event::kEnd;
  }

  const grpc::Status& status() const { return status_; }

  // When the last message came; never: InfinitePast.
  absl::Time heard() const { return heard_; }
  absl::Time opened() const { return opened_; }

 private:
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  Response incoming_;
  grpc::Status status_;
  bool started_ = false;
  bool finishing_ = false;
  bool ended_ = false;
  absl::Time heard_ = absl::InfinitePast();
  Reader reader_;
  absl::Time opened_;
};

}  // namespace virmo::cli
