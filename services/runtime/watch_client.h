// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

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
    // The stream broke, or could not be opened; what was known is no longer live until the next
    // `synchronized`. Told again every 30 s while the peer is absent.
    std::function<void(const absl::Status&)> on_break;
  };

  explicit WatchClient(Callbacks callbacks)
      : callbacks_(std::move(callbacks)),
        watchdog_([this] { Watch(); }),
        thread_([this] { Run(); }) {}

  ~WatchClient() {
    {
      MutexLock lock(mutex_);
      stop_ = true;
      if (context_ != nullptr) context_->TryCancel();
      changed_.notify_all();
    }
    thread_.join();
    watchdog_.join();
  }
  WatchClient(const WatchClient&) = delete;
  WatchClient& operator=(const WatchClient&) = delete;

 private:
  static constexpr absl::Duration kLongestSilence = absl::Seconds(30);
  static constexpr absl::Duration kShortestPause = absl::Milliseconds(100);
  static constexpr absl::Duration kLongestPause = absl::Seconds(1);

  void Run() {
    absl::Duration pause = kShortestPause;
    // The first attempt fails at once if the peer is absent, so that on_break tells. Later ones
    // wait for it: only a waiting call drives gRPC to connect.
    for (bool wait_for_ready = false;; wait_for_ready = true) {
      grpc::ClientContext context;
      context.set_wait_for_ready(wait_for_ready);
      if (!Begin(context)) return;
      bool any = false;
      const absl::Status status = ReadAll(context, any);
      if (!End(status)) return;
      pause = any ? kShortestPause : std::min(pause * 2, kLongestPause);
      MutexLock lock(mutex_);
      lock.WaitFor(changed_, pause, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stop_; });
    }
  }

  bool Begin(grpc::ClientContext& context) {
    MutexLock lock(mutex_);
    if (stop_) return false;
    context_ = &context;
    silent_ = false;
    last_message_ = std::chrono::steady_clock::now();
    return true;
  }

  absl::Status ReadAll(grpc::ClientContext& context, bool& any) {
    const Reader reader = callbacks_.open(&context);
    Response response;
    while (reader->Read(&response)) {
      any = true;
      callbacks_.on_message(response);
      response.Clear();
      MutexLock lock(mutex_);
      last_message_ = std::chrono::steady_clock::now();
    }
    return FromGrpc(reader->Finish());
  }

  // Tells of the break, without a lock held; false if it was our own end.
  bool End(absl::Status status) {
    {
      MutexLock lock(mutex_);
      context_ = nullptr;
      if (stop_) return false;
      if (silent_) {
        status = Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                       "the peer is absent or was silent for 30 seconds");
      } else if (status.ok()) {
        status = Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "the peer ended the stream");
      }
    }
    callbacks_.on_break(status);
    return true;
  }

  // Cancels a stream that is silent for too long.
  void Watch() {
    MutexLock lock(mutex_);
    while (!stop_) {
      const auto age = std::chrono::steady_clock::now() - last_message_;
      const absl::Duration left = kLongestSilence - absl::FromChrono(age);
      if (context_ != nullptr && left <= absl::ZeroDuration()) {
        silent_ = true;
        context_->TryCancel();
      }
      lock.WaitFor(changed_, left > absl::ZeroDuration() ? left : kLongestSilence,
                   [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return stop_; });
    }
  }

  const Callbacks callbacks_;
  Mutex mutex_;
  std::condition_variable changed_;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
  std::chrono::steady_clock::time_point last_message_ ABSL_GUARDED_BY(mutex_) =
      std::chrono::steady_clock::now();
  std::thread watchdog_;
  std::thread thread_;
};

}  // namespace virmo
