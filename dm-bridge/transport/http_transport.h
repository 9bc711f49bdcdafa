// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "dm-bridge/transport/transport.h"

namespace virmo::dm_bridge {

// HTTP(S) by libcurl, with one connection that is kept open. TLS 1.2 or newer, certificates
// checked; plain http to loopback only; no redirects. Cancel() may be called from any thread,
// the rest belongs to one.
class HttpTransport : public Transport {
 public:
  struct Options {
    std::string ca_file;  // Empty: the system's.
    size_t max_answer_bytes = 1 << 20;
    absl::Duration connect_timeout = absl::Seconds(10);
    absl::Duration timeout = absl::Seconds(60);  // For one message and its answer.
  };

  explicit HttpTransport(Options options);
  ~HttpTransport() override;
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  absl::StatusOr<std::string> Post(const std::string& url, const std::string& content_type,
                                   const std::string& body) override;

  // Ends a Post() that runs, within about a second, and every later one.
  void Cancel() { cancelled_ = true; }

 private:
  struct Answer;

  void SetUp(const std::string& url, const std::string& body, Answer& answer);

  const Options options_;
  std::atomic<bool> cancelled_ = false;
  void* curl_;  // CURL
};

}  // namespace virmo::dm_bridge
