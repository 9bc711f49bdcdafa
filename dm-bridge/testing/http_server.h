// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "services/runtime/mutex.h"

namespace virmo::dm_bridge {

// A small HTTP/1.1 server on a loopback port, for tests: POSTs only, connections kept open.
class HttpServer {
 public:
  struct Request {
    std::string path;
    std::string headers;  // As sent.
    std::string body;
  };
  struct Response {
    int code = 200;
    std::string body = {};
    std::string headers = {};  // More ones, each with its line break.
  };
  // Nothing: the connection is cut without an answer.
  using Handler = std::function<std::optional<Response>(const Request&)>;

  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string Url(const std::string& path) const;

 private:
  void Accept();
  void Serve(int connection);

  const Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  Mutex mutex_;
  std::vector<int> connections_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace virmo::dm_bridge
