// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server_context.h"
#include "virmo/config/v1/common.pb.h"

namespace virmo {

// Who makes a call: on a unix socket the peer's credentials (SO_PEERCRED, taken when the
// connection was accepted), on TLS the DNS name in its certificate that allowed_peers admits. On
// plain TCP (loopback) nothing is known.
struct Caller {
  int uid = -1;      // -1 on TLS.
  int pid = -1;      // -1 on TLS.
  std::string name;  // User name, or the certificate's DNS name.
};

// One VirMO process: listens, lets in whom the listener allows, serves health, reflection and
// ProcessService besides the services registered, and ends gracefully on SIGTERM or SIGINT.
// Thread-safe, but Register and Serve belong to main.
class Process {
 public:
  // Checks the listener. Blocks SIGTERM and SIGINT in the calling thread and all it starts, so
  // make this the first object in main. (A program started with posix_spawn inherits that: give it
  // an empty mask with POSIX_SPAWN_SETSIGMASK, or it cannot be terminated.)
  static absl::StatusOr<std::unique_ptr<Process>> Create(std::string name,
                                                         config::v1::Listener listener);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Adds a service; it must outlive Serve().
  void Register(grpc::Service& service);

  // Listens and serves until a signal, RequestStop(), or failure to listen: ALREADY_EXISTS if a
  // live process has the address. Then calls the shutdown hooks, gives running calls up to 2
  // seconds, and returns OK.
  absl::Status Serve();

  // Called when shutting down, before calls are cut: wake what blocks in handlers.
  void OnShutdown(std::function<void()> hook);
  void RequestStop();

  // Says, or takes back, what is wrong: shown by ProcessService and as NOT_SERVING health.
  // `subject` is a short name, `policy-engine`; each subject has at most one cause.
  void SetDegraded(absl::string_view subject, absl::string_view cause);
  void ClearDegraded(absl::string_view subject);

  // Who makes this call. Only in a handler.
  Caller CallerOf(const grpc::ServerContext& context) const;

  // Where it listens really, `127.0.0.1:PORT` when port 0 was asked; valid once Serve is up.
  std::string address() const;

 private:
  class Impl;
  explicit Process(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace virmo
