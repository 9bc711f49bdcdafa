// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/virtual_machine_service.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/console_stream.h"

namespace virmo::vm_controller {
namespace {

using google::longrunning::Operation;

constexpr absl::Duration kSignOfLife = absl::Seconds(10);
constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;

template <typename Result, typename Response>
grpc::Status Answer(absl::StatusOr<Result> result, Response* response) {
  if (!result.ok()) return ToGrpc(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

template <typename Request>
Requests::Change ChangeOf(v1::OperationKind kind, const Request& request) {
  Requests::Change change;
  change.kind = kind;
  change.name = request.name();
  change.request_id = request.request_id();
  change.initiator = request.initiator();
  return change;
}

// What goes to a watcher ends with this process, or when the watcher is too slow.
grpc::Status Ended() {
  return ToGrpc(Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "the stream ended; watch again",
                      {{"service", "vm-controller"}}));
}

// Sends events until somebody goes; an empty message when nothing happens.
template <typename Event, typename Message, typename Convert>
grpc::Status Follow(grpc::ServerContext& context, typename Broadcast<Event>::Subscription& events,
                    grpc::ServerWriter<Message>& writer, Convert convert) {
  using State = typename Broadcast<Event>::Subscription::State;
  while (!context.IsCancelled()) {
    Event event;
    const State state = events.Next(kSignOfLife, &event);
    if (state == State::kClosed) return Ended();
    if (!writer.Write(state == State::kEvent ? convert(event) : Message())) break;
  }
  return grpc::Status::OK;
}

}  // namespace

grpc::Status VirtualMachineServiceImpl::GetVirtualMachine(
    grpc::ServerContext*, const v1::GetVirtualMachineRequest* request,
    v1::VirtualMachine* response) {
  const absl::StatusOr<std::string> id = VirtualMachineId(request->name());
  if (!id.ok()) return ToGrpc(id.status());
  return Answer(controller_.machines().Get(*id), response);
}

grpc::Status VirtualMachineServiceImpl::ListVirtualMachines(
    grpc::ServerContext*, const v1::ListVirtualMachinesRequest* request,
    v1::ListVirtualMachinesResponse* response) {
  if (request->page_size() < 0) return ToGrpc(InvalidField("page_size", "is negative"));
  const absl::StatusOr<std::vector<v1::VirtualMachine>> all = controller_.machines().List();
  if (!all.ok()) return ToGrpc(all.status());
  const int size =
      std::min(kMaxPage, request->page_size() == 0 ? kDefaultPage : request->page_size());
  for (const v1::VirtualMachine& vm : *all) {
    if (vm.name() <= request->page_token()) continue;  // The token is the last name sent.
    if (response->virtual_machines_size() == size) {
      response->set_next_page_token(response->virtual_machines(size - 1).name());
      break;
    }
    *response->add_virtual_machines() = vm;
  }
  return grpc::Status::OK;
}

grpc::Status VirtualMachineServiceImpl::WatchVirtualMachines(
    grpc::ServerContext* context, const v1::WatchVirtualMachinesRequest*,
    grpc::ServerWriter<v1::WatchVirtualMachinesResponse>* writer) {
  // Before the snapshot: what changes while it is sent comes after it.
  Broadcast<Machines::Event>::Subscription events(controller_.machines().events());
  const absl::StatusOr<std::vector<v1::VirtualMachine>> all = controller_.machines().List();
  if (!all.ok()) return ToGrpc(all.status());
  v1::WatchVirtualMachinesResponse message;
  for (const v1::VirtualMachine& vm : *all) {
    *message.mutable_changed() = vm;
    if (!writer->Write(message)) return grpc::Status::OK;
  }
  message.Clear();
  message.set_synchronized(true);
  if (!writer->Write(message)) return grpc::Status::OK;
  return Follow<Machines::Event>(*context, events, *writer,
                                 [](const Machines::Event& event) { return event; });
}

grpc::Status VirtualMachineServiceImpl::WatchOperations(
    grpc::ServerContext* context, const v1::WatchOperationsRequest* request,
    grpc::ServerWriter<v1::WatchOperationsResponse>* writer) {
  Broadcast<v1::OperationEvent>::Subscription events(controller_.journal().events());
  v1::WatchOperationsResponse first;  // Tells at once that the stream is there.
  if (!writer->Write(first)) return grpc::Status::OK;
  if (request->include_current()) {
    const auto entries = controller_.journal().Unfinished();
    if (!entries.ok()) return ToGrpc(entries.status());
    for (const OperationJournal::Entry& entry : *entries) {
      v1::WatchOperationsResponse message;
      message.mutable_event()->set_name(OperationName(entry.id));
      *message.mutable_event()->mutable_metadata() = entry.metadata;
      if (!writer->Write(message)) return grpc::Status::OK;
    }
  }
  return Follow<v1::OperationEvent>(*context, events, *writer, [](const v1::OperationEvent& event) {
    v1::WatchOperationsResponse message;
    *message.mutable_event() = event;
    return message;
  });
}

grpc::Status VirtualMachineServiceImpl::CreateVirtualMachine(
    grpc::ServerContext*, const v1::CreateVirtualMachineRequest* request, Operation* response) {
  return Answer(controller_.requests().Create(*request), response);
}

grpc::Status VirtualMachineServiceImpl::UpdateVirtualMachine(
    grpc::ServerContext*, const v1::UpdateVirtualMachineRequest* request,
    v1::VirtualMachine* response) {
  return Answer(controller_.requests().Update(*request), response);
}

grpc::Status VirtualMachineServiceImpl::DeleteVirtualMachine(
    grpc::ServerContext*, const v1::DeleteVirtualMachineRequest* request, Operation* response) {
  Requests::Change change = ChangeOf(v1::OPERATION_KIND_DELETE, *request);
  change.force = request->force();
  change.etag = request->etag();
  return Answer(controller_.requests().Accept(change, *request), response);
}

grpc::Status VirtualMachineServiceImpl::StartVirtualMachine(
    grpc::ServerContext*, const v1::StartVirtualMachineRequest* request, Operation* response) {
  return Answer(
      controller_.requests().Accept(ChangeOf(v1::OPERATION_KIND_START, *request), *request),
      response);
}

grpc::Status VirtualMachineServiceImpl::StopVirtualMachine(
    grpc::ServerContext*, const v1::StopVirtualMachineRequest* request, Operation* response) {
  if (request->timeout().seconds() < 0 || request->timeout().nanos() < 0) {
    return ToGrpc(InvalidField("timeout", "is negative"));
  }
  Requests::Change change = ChangeOf(v1::OPERATION_KIND_STOP, *request);
  change.force = request->force();
  return Answer(controller_.requests().Accept(change, *request), response);
}

grpc::Status VirtualMachineServiceImpl::PauseVirtualMachine(
    grpc::ServerContext*, const v1::PauseVirtualMachineRequest* request, Operation* response) {
  return Answer(
      controller_.requests().Accept(ChangeOf(v1::OPERATION_KIND_PAUSE, *request), *request),
      response);
}

grpc::Status VirtualMachineServiceImpl::UnpauseVirtualMachine(
    grpc::ServerContext*, const v1::UnpauseVirtualMachineRequest* request, Operation* response) {
  return Answer(
      controller_.requests().Accept(ChangeOf(v1::OPERATION_KIND_UNPAUSE, *request), *request),
      response);
}

grpc::Status VirtualMachineServiceImpl::SuspendVirtualMachine(
    grpc::ServerContext*, const v1::SuspendVirtualMachineRequest* request, Operation* response) {
  return Answer(
      controller_.requests().Accept(ChangeOf(v1::OPERATION_KIND_SUSPEND, *request), *request),
      response);
}

grpc::Status VirtualMachineServiceImpl::ResumeVirtualMachine(
    grpc::ServerContext*, const v1::ResumeVirtualMachineRequest* request, Operation* response) {
  return Answer(
      controller_.requests().Accept(ChangeOf(v1::OPERATION_KIND_RESUME, *request), *request),
      response);
}

grpc::Status VirtualMachineServiceImpl::CloneVirtualMachine(
    grpc::ServerContext*, const v1::CloneVirtualMachineRequest* request, Operation* response) {
  return Answer(controller_.requests().Clone(*request), response);
}

grpc::ServerBidiReactor<v1::OpenConsoleRequest, v1::OpenConsoleResponse>*
VirtualMachineServiceImpl::OpenConsole(grpc::CallbackServerContext*) {
  return new ConsoleStream(controller_);  // Deletes itself.
}

grpc::Status VirtualMachineServiceImpl::GetHost(grpc::ServerContext*, const v1::GetHostRequest*,
                                                v1::Host* response) {
  *response = controller_.DescribeHost();
  return grpc::Status::OK;
}

}  // namespace virmo::vm_controller
