// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"

namespace virmo::dm_bridge {

// Calls `method` of another process and waits at most 10 seconds. A call that got no answer in
// that time may or may not have been done; it is UNAVAILABLE (SERVICE_UNAVAILABLE), and safe to
// repeat since every change carries a request id.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Invoke(Stub& stub,
                                grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                             Response*),
                                const Request& request) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(10));
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (status.ok()) return response;
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "no answer within 10 s");
  }
  return FromGrpc(status);
}

}  // namespace virmo::dm_bridge
