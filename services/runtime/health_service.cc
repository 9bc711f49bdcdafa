// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/health_service.h"

#include "google/protobuf/io/coded_stream.h"
#include "grpcpp/impl/rpc_service_method.h"
#include "grpcpp/support/method_handler.h"
#include "services/runtime/error.h"

namespace virmo {

namespace {

using grpc::ByteBuffer;

// How long after a watcher has gone it may still hold a thread.
constexpr absl::Duration kLookAgain = absl::Seconds(10);

// `string service = 1` of a HealthCheckRequest; other fields are skipped, as protobuf does.
std::optional<std::string> ServiceOf(const ByteBuffer& request) {
  grpc::Slice slice;
  if (request.Length() > 1024 || !request.DumpToSingleSlice(&slice).ok()) return std::nullopt;
  google::protobuf::io::CodedInputStream input(slice.begin(), static_cast<int>(slice.size()));
  std::string service;
  while (const uint32_t tag = input.ReadTag()) {
    uint32_t size = 0;
    uint64_t number = 0;
    switch (tag & 7) {
      case 0:
        if (!input.ReadVarint64(&number)) return std::nullopt;
        break;
      case 2:
        if (!input.ReadVarint32(&size) ||
            !(tag >> 3 == 1 ? input.ReadString(&service, static_cast<int>(size))
                            : input.Skip(static_cast<int>(size)))) {
          return std::nullopt;
        }
        break;
      default:
        return std::nullopt;
    }
  }
  return input.ConsumedEntireMessage() ? std::optional(service) : std::nullopt;
}

// A HealthCheckResponse: `ServingStatus status = 1`.
ByteBuffer Response(char status) {
  const char octets[] = {0x08, status};
  const grpc::Slice slice(octets, sizeof(octets));
  return ByteBuffer(&slice, 1);
}

grpc::Status BadRequest() {
  return ToGrpc(
      Error(v1::ErrorInfo::REASON_INVALID_ARGUMENT, "not a grpc.health.v1.HealthCheckRequest"));
}

}  // namespace

HealthService::HealthService() {
  using grpc::internal::RpcMethod;
  using grpc::internal::RpcServiceMethod;
  // gRPC owns the methods and handlers.
  AddMethod(new RpcServiceMethod(
      "/grpc.health.v1.Health/Check", RpcMethod::NORMAL_RPC,
      new grpc::internal::RpcMethodHandler<HealthService, ByteBuffer, ByteBuffer>(
          [](HealthService* self, grpc::ServerContext* context, const ByteBuffer* request,
             ByteBuffer* response) { return self->Check(context, request, response); },
          this)));
  AddMethod(new RpcServiceMethod(
      "/grpc.health.v1.Health/Watch", RpcMethod::SERVER_STREAMING,
      new grpc::internal::ServerStreamingHandler<HealthService, ByteBuffer, ByteBuffer>(
          [](HealthService* self, grpc::ServerContext* context, const ByteBuffer* request,
             grpc::ServerWriter<ByteBuffer>* writer) {
            return self->Watch(context, request, writer);
          },
          this)));
}

void HealthService::SetServices(const std::vector<std::string>& services) {
  MutexLock lock(mutex_);
  services_ = {services.begin(), services.end()};
  services_.insert("");
  changed_.notify_all();
}

void HealthService::SetServing(bool serving) {
  MutexLock lock(mutex_);
  serving_ = serving;
  changed_.notify_all();
}

void HealthService::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

HealthService::Status HealthService::StatusOf(const std::string& service) const {
  if (!services_.contains(service)) return kServiceUnknown;
  return serving_ ? kServing : kNotServing;
}

grpc::Status HealthService::Check(grpc::ServerContext* /*context*/, const ByteBuffer* request,
                                  ByteBuffer* response) {
  const std::optional<std::string> service = ServiceOf(*request);
  if (!service) return BadRequest();
  MutexLock lock(mutex_);
  const Status status = StatusOf(*service);
  if (status == kServiceUnknown) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_NOT_FOUND, "no such service here: " + *service,
                        {{"service", *service}}));
  }
  *response = Response(status);
  return grpc::Status::OK;
}

grpc::Status HealthService::Watch(grpc::ServerContext* context, const ByteBuffer* request,
                                  grpc::ServerWriter<ByteBuffer>* writer) {
  const std::optional<std::string> service = ServiceOf(*request);
  if (!service) return BadRequest();
  std::optional<Status> told;
  while (!context->IsCancelled()) {
    Status status = kServiceUnknown;
    {
      MutexLock lock(mutex_);
      lock.WaitFor(changed_, kLookAgain, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
        return closed_ || told != StatusOf(*service);
      });
      status = StatusOf(*service);
      if (closed_ && told == status) break;
    }
    if (told != status && !writer->Write(Response(status))) break;
    told = status;
  }
  return grpc::Status::OK;
}

}  // namespace virmo
