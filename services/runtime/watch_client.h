// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/sync_stream.h"
#include "services/runtime/error.h"
#include "services/runtime/mutex.h"

namespace virmo {

// Keeps one Watch stream of another process open, on a thread of its own: opens it, hands over
// each message, and opens it again (after 0.1 to 1 s) whenever it breaks or is silent for 30 s.
template <typename Response>
class WatchClient {
 public:
  using Reader = std::unique_ptr<grpc::ClientReader<Response>>;

  struct Callbacks {
    std::function<Reader(grpc::ClientContext*)> open;
    std::function<void(const Response&)> on_message;
    // The stream broke; what was known is no longer live until the next `synchronized`.
    std::function<void(const absl::Status&)> on_break;
  };

  explicit WatchClient(Callbacks callbacks)
      : callbacks_(std::move(callbacks)), thread_([this] { Run(); }) {}

  ~WatchClient() {
    {
      MutexLock lock(mutex_);
      stop_ = true;
      if (context_ != nullptr) context_->TryCancel();
      changed_.notify_all();
    }
    thread_.join();
  }
  WatchClient(const WatchClient&) = delete;
  WatchClient& operator=(const WatchClient&) = delete;

 private:
  void Run() {
    absl::Duration pause = absl::Milliseconds(100);
    while (true) {
      grpc::ClientContext context;
      {
        MutexLock lock(mutex_);
        if (stop_) return;
        context_ = &context;
      }
      Reader reader = callbacks_.open(&context);
      Response response;
      bool any = false;
      while (reader->Read(&response)) {
        any = true;
        callbacks_.on_message(response);
      }
      const absl::Status status = FromGrpc(reader->Finish());
      MutexLock lock(mutex_);
      context_ = nullptr;
      if (stop_) return;
      callbacks_.on_break(status);
      pause = any ? absl::Milliseconds(100) : std::min(pause * 2, absl::Seconds(1));
      lock.WaitFor(changed_, pause, [&] { return stop_; });
    }
  }

  const Callbacks callbacks_;
  Mutex mutex_;
  std::condition_variable changed_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace virmo
