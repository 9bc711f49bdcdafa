// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/operations_service.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"

namespace virmo {

namespace {

using google::longrunning::Operation;

constexpr absl::Duration kLongestWait = absl::Minutes(1);
// How long after a client has gone its wait may still hold a thread.
constexpr absl::Duration kLookAgain = absl::Seconds(5);

template <typename Message>
grpc::Status Answer(absl::StatusOr<Message> result, Message* response) {
  if (!result.ok()) return ToGrpc(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

absl::Duration TimeoutOf(const google::longrunning::WaitOperationRequest& request) {
  if (!request.has_timeout()) return kLongestWait;
  const absl::Duration timeout =
      absl::Seconds(request.timeout().seconds()) + absl::Nanoseconds(request.timeout().nanos());
  return std::clamp(timeout, absl::ZeroDuration(), kLongestWait);
}

}  // namespace

grpc::Status OperationsService::ListOperations(
    grpc::ServerContext* /*context*/, const google::longrunning::ListOperationsRequest* request,
    google::longrunning::ListOperationsResponse* response) {
  if (!request->filter().empty()) {
    return ToGrpc(InvalidField("filter", "filters are not supported; leave it empty"));
  }
  return Answer(journal_.List(request->page_size(), request->page_token()), response);
}

grpc::Status OperationsService::GetOperation(
    grpc::ServerContext* /*context*/, const google::longrunning::GetOperationRequest* request,
    Operation* response) {
  const absl::StatusOr<std::string> id = OperationId(request->name());
  if (!id.ok()) return ToGrpc(id.status());
  return Answer(journal_.GetOperation(*id), response);
}

grpc::Status OperationsService::CancelOperation(
    grpc::ServerContext* /*context*/, const google::longrunning::CancelOperationRequest* request,
    google::protobuf::Empty* /*response*/) {
  const absl::StatusOr<std::string> id = OperationId(request->name());
  if (!id.ok()) return ToGrpc(id.status());
  return ToGrpc(journal_.RequestCancel(*id));
}

grpc::Status OperationsService::WaitOperation(
    grpc::ServerContext* context, const google::longrunning::WaitOperationRequest* request,
    Operation* response) {
  const absl::StatusOr<std::string> id = OperationId(request->name());
  if (!id.ok()) return ToGrpc(id.status());
  // Before the first look, so that an end between look and wait is heard.
  Broadcast<v1::OperationEvent>::Subscription subscription(journal_.events());
  const absl::Time deadline = absl::Now() + TimeoutOf(*request);
  absl::StatusOr<Operation> operation = journal_.GetOperation(*id);
  while (operation.ok() && !operation->done() && !context->IsCancelled()) {
    const absl::Duration left = std::min(deadline - absl::Now(), kLookAgain);
    if (left <= absl::ZeroDuration()) break;
    v1::OperationEvent event;
    const auto state = subscription.Next(left, &event);
    if (state == Broadcast<v1::OperationEvent>::Subscription::State::kClosed) break;
    if (event.name() == request->name()) operation = journal_.GetOperation(*id);
  }
  if (operation.ok() && !operation->done()) operation = journal_.GetOperation(*id);
  return Answer(std::move(operation), response);
}

}  // namespace virmo
