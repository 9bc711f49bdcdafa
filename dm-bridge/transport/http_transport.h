// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "dm-bridge/transport/transport.h"
#include "services/runtime/mutex.h"
#include "services/syncml/content_coding.h"

namespace virmo::dm_bridge {

// HTTP(S) by libcurl, with one connection that is kept open. TLS 1.2 or newer, certificates
// checked; plain http to loopback only; no redirects. Reads gzip and deflate, and sends what it is
// told to once the server named it in an Accept-Encoding (RFC 7694). Cancel() may be called from
// any thread, the rest belongs to one.
class HttpTransport : public Transport {
 public:
  struct Options {
    std::string ca_file = {};  // Empty: the system's.
    // The device's certificate and key, PEM, for servers that ask for them; empty: none.
    std::string certificate_file = {};
    std::string key_file = {};
    syncml::ContentCoding compression = syncml::ContentCoding::kIdentity;
    size_t max_answer_bytes = 1 << 20;  // Also when decompressed.
    absl::Duration connect_timeout = absl::Seconds(10);
    absl::Duration timeout = absl::Seconds(60);  // For one message and its answer.
  };

  explicit HttpTransport(Options options);
  ~HttpTransport() override;
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  absl::StatusOr<Answer> Post(const Request& request) override;
  bool Pause(absl::Duration duration) override;

  // Ends a Post() that runs, within about a second, and every later one.
  void Cancel();

 private:
  struct Exchange;

  absl::Status Perform(const Request& request, Exchange& exchange);
  void SetUp(const Request& request, Exchange& exchange);
  void SetUpTls();
  absl::StatusOr<Answer> Read(Exchange& exchange) const;

  const Options options_;
  std::atomic<bool> cancelled_ = false;
  Mutex mutex_;  // With cancel_changed_, for Pause().
  std::condition_variable cancel_changed_;
  bool server_reads_compressed_ = false;
  void* curl_;  // CURL
};

}  // namespace virmo::dm_bridge
