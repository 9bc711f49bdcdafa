// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server_context.h"
#include "services/runtime/process.h"
#include "virmo/config/v1/common.pb.h"

namespace virmo {

// Serves one gRPC service and nothing else (no reflection, no ProcessService) on a unix socket of
// its own, beside what a Process serves: for callers who must not reach the rest. Thread-safe.
class SocketServer {
 public:
  // Listens. INVALID_ARGUMENT if the address is no unix socket or a user is unknown;
  // ALREADY_EXISTS if a live process has it. `service` must outlive the result.
  static absl::StatusOr<std::unique_ptr<SocketServer>> Start(const config::v1::Listener& listener,
                                                             grpc::Service& service);
  // Gives running calls up to 2 seconds.
  ~SocketServer();
  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;

  // Who makes this call. Only in a handler.
  Caller CallerOf(const grpc::ServerContext& context) const;

 private:
  class Impl;
  explicit SocketServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace virmo
