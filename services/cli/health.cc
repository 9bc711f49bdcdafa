// SPDX-License-Identifier: Apache-2.0
#include "services/cli/health.h"

#include <memory>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/io/coded_stream.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

#include "services/runtime/channel.h"

namespace virmo::cli {
namespace {

// Reads HealthCheckResponse{status} by hand: gRPC ships no C++ classes for its health proto.
bool SaysServing(const grpc::ByteBuffer& response) {
  grpc::Slice octets;
  if (!response.DumpToSingleSlice(&octets).ok()) return false;
  google::protobuf::io::CodedInputStream input(octets.begin(), static_cast<int>(octets.size()));
  constexpr uint32_t kStatusTag = 1 << 3;
  constexpr uint32_t kServing = 1;
  uint32_t status = 0;
  return input.ReadTag() == kStatusTag && input.ReadVarint32(&status) && status == kServing;
}

}  // namespace

absl::StatusOr<bool> IsServing(const Peer& peer) {
  grpc::GenericStub stub(peer.channel());
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  grpc::CompletionQueue queue;
  const grpc::Slice nothing;  // An empty HealthCheckRequest asks for the whole process.
  const grpc::ByteBuffer request(&nothing, 1);
  const std::unique_ptr<grpc::GenericClientAsyncResponseReader> call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  grpc::ByteBuffer response;
  grpc::Status status;
  call->StartCall();
  call->Finish(&response, &status, &queue);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  queue.Shutdown();
  if (!status.ok()) return peer.Explain(status, "");
  return SaysServing(response);
}

}  // namespace virmo::cli
