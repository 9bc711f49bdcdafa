// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "grpcpp/impl/service_type.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/sync_stream.h"
#include "services/runtime/mutex.h"

namespace virmo {

// The standard health service, `grpc.health.v1.Health`. (gRPC's own would keep two threads that
// wake twice a second each, for ever. Its proto is in no Debian package for C++; it has two
// messages of one field, which are read and written by hand.) Thread-safe. Internal to
// services/runtime.
class HealthService : public grpc::Service {
 public:
  HealthService();

  // The services that have a status, besides "" for the whole process; others are NOT_FOUND.
  void SetServices(const std::vector<std::string>& services);
  // The status of all of them.
  void SetServing(bool serving);
  // Ends every Watch, for shutdown.
  void Close();

 private:
  // As in the proto.
  enum Status : char { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

  grpc::Status Check(grpc::ServerContext* context, const grpc::ByteBuffer* request,
                     grpc::ByteBuffer* response);
  grpc::Status Watch(grpc::ServerContext* context, const grpc::ByteBuffer* request,
                     grpc::ServerWriter<grpc::ByteBuffer>* writer);
  Status StatusOf(const std::string& service) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> services_ ABSL_GUARDED_BY(mutex_) = {""};
  bool serving_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace virmo
