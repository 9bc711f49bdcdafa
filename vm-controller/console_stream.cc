// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/console_stream.h"

#include <algorithm>

#include "services/runtime/error.h"
#include "services/runtime/resource_name.h"
#include "services/runtime/status_macros.h"

namespace virmo::vm_controller {
namespace {

constexpr int kMaxBacklog = 65536;
constexpr absl::Duration kLookEvery = absl::Milliseconds(250);

}  // namespace

ConsoleStream::ConsoleStream(Controller& controller) : controller_(controller) {
  StartRead(&request_);
}

absl::Status ConsoleStream::Open() {
  ASSIGN_OR_RETURN(id_, VirtualMachineId(request_.name()));
  RETURN_IF_ERROR(controller_.machines().Get(id_).status());
  const int backlog = std::clamp(request_.backlog_bytes(), 0, kMaxBacklog);
  ASSIGN_OR_RETURN(console_, controller_.consoles().Open(id_, backlog));
  return absl::OkStatus();
}

void ConsoleStream::OnReadDone(bool ok) {
  if (console_ == nullptr) {
    const absl::Status status = ok ? Open() : InvalidField("name", "nothing was sent");
    if (!status.ok()) return Finish(ToGrpc(status));
    forwarder_ = std::thread([this] { Forward(); });
  }
  if (!ok) return;  // Nothing more is typed; what the guest writes is still wanted.
  // A lock that refuses it ends the whole stream, in Forward().
  (void)controller_.consoles().Write(id_, request_.input());
  StartRead(&request_);
}

void ConsoleStream::OnWriteDone(bool ok) {
  if (!ok) over_ = true;
  MutexLock lock(mutex_);
  written_ = true;
  written_cv_.notify_all();
}

void ConsoleStream::OnCancel() { over_ = true; }

void ConsoleStream::OnDone() {
  if (forwarder_.joinable()) forwarder_.join();
  delete this;
}

void ConsoleStream::Forward() {
  using State = ConsoleHub::Stream::State;
  State state = State::kTimeout;
  while (!over_ && state != State::kClosed) {
    response_.Clear();
    state = console_->Next(kLookEvery, response_.mutable_output());
    if (state != State::kOutput) continue;
    {
      MutexLock lock(mutex_);
      written_ = false;
    }
    StartWrite(&response_);
    MutexLock lock(mutex_);
    lock.Wait(written_cv_, [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return written_; });
  }
  Finish(over_ ? grpc::Status::CANCELLED : ToGrpc(WhyClosed()));
}

absl::Status ConsoleStream::WhyClosed() {
  RETURN_IF_ERROR(controller_.consoles().Open(id_, 0).status());
  return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE, "the console ended; open it again",
               {{"service", "vm-controller"}});
}

}  // namespace virmo::vm_controller
