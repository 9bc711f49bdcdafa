// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/server/http/http_message.h"

namespace virmo::server {

// Serves HTTP/1.1: keep-alive, TLS 1.2 or newer if there is a certificate, limits on size and time
// of every read. One thread does all input and output; handlers run on a small pool.
class HttpServer {
 public:
  struct Options {
    std::string address;           // `HOST:PORT`; port 0: any
    std::string certificate_file;  // empty: plain HTTP, on loopback only
    std::string key_file;
    std::string client_ca_file;  // who signs clients' certificates; empty: none is asked for
    size_t max_body_bytes = 1 << 20;
    size_t max_connections = 4096;
    absl::Duration header_timeout = absl::Seconds(30);  // also how long an idle one is kept
    absl::Duration body_timeout = absl::Seconds(60);
    absl::Duration write_timeout = absl::Seconds(60);  // for each piece
    int handler_threads = 4;
  };

  // Binds the address. INVALID_ARGUMENT for one that is none, or public without a certificate;
  // ALREADY_EXISTS if it is in use.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const Options& options);

  // Stops: cuts connections, waits for handlers.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Begins to serve. Call once.
  void Start(HttpHandler handler);

  // `127.0.0.1:8080`, with the real port.
  std::string address() const;
  bool has_tls() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace virmo::server
