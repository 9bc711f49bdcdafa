// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "services/runtime/mutex.h"

namespace virmo::vm_controller {

// A little HTTP server for tests, that misbehaves as it is told. Serves one body at every path.
class HttpFixture {
 public:
  struct Behaviour {
    std::string body;
    int status = 0;            // Answers this instead, if set.
    bool ranges = true;        // Understands Range.
    int64_t break_after = -1;  // Breaks each connection after so many octets of the body.
    std::function<void()> on_request = [] {};
  };

  explicit HttpFixture(Behaviour behaviour);
  ~HttpFixture();
  HttpFixture(const HttpFixture&) = delete;
  HttpFixture& operator=(const HttpFixture&) = delete;

  std::string Url() const;
  // The Range of each request so far; empty for one without.
  std::vector<std::string> Ranges();

 private:
  void Run();
  void Serve(int connection);

  const Behaviour behaviour_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_ = false;
  Mutex mutex_;
  std::vector<std::string> ranges_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace virmo::vm_controller
