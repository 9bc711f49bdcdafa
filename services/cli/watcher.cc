// SPDX-License-Identifier: Apache-2.0
#include "services/cli/watcher.h"

namespace virmo::cli {

bool IsWorthRetrying(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::UNKNOWN:   // gRPC says so of a stream that was cut at a bad moment,
    case grpc::StatusCode::INTERNAL:  // or so.
      return true;
    default:
      return false;
  }
}

}  // namespace virmo::cli
