// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/impl/service_type.h"
#include "services/runtime/clock.h"
#include "virmo/config/v1/server_config.pb.h"

namespace virmo::server {

// The VirMO server without its command line: makes every part, in order of dependency, and owns
// them. Serves devices over HTTP from Open() until destruction; the gRPC services are for the
// caller to register.
class Server {
 public:
  // INVALID_ARGUMENT for a configuration that cannot work, DATA_LOSS for a damaged database or a
  // missing key file.
  static absl::StatusOr<std::unique_ptr<Server>> Open(const config::v1::ServerConfig& config,
                                                      Clock clock = absl::Now);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  grpc::Service& fleet_service();
  grpc::Service& image_service();

  // Ends the Watch streams, for shutdown.
  void CloseStreams();

  // Where devices reach it: `http://127.0.0.1:8080`.
  const std::string& public_url() const;

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// What a field that is not set in the file means.
config::v1::ServerConfig DefaultConfig();

}  // namespace virmo::server
