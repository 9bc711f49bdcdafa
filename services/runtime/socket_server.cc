// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/socket_server.h"

#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/server_posix.h"
#include "services/runtime/address.h"
#include "services/runtime/error.h"
#include "services/runtime/mutex.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/unix_listener.h"

namespace virmo {
namespace {

constexpr auto kGrace = std::chrono::seconds(2);
// Anybody may call: more calls than this at a time are told RESOURCE_EXHAUSTED.
constexpr int kMaxThreads = 16;
constexpr int kMaxMessageBytes = 64 * 1024;

}  // namespace

class SocketServer::Impl {
 public:
  explicit Impl(std::unique_ptr<UnixListener> listener) : listener_(std::move(listener)) {}

  ~Impl() {
    if (server_ == nullptr) return;
    listener_->Stop();
    server_->Shutdown(std::chrono::system_clock::now() + kGrace);
    server_->Wait();
  }

  absl::Status Serve(grpc::Service& service) {
    grpc::ServerBuilder builder;
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::CQ_TIMEOUT_MSEC, 10000);
    builder.SetResourceQuota(grpc::ResourceQuota("socket").SetMaxThreads(kMaxThreads));
    builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return Error(v1::ErrorInfo::REASON_INTERNAL, "cannot start the gRPC server");
    }
    listener_->Start([this](int fd, const UnixListener::Peer& peer) {
      {
        MutexLock lock(mutex_);
        callers_[fd] = {static_cast<int>(peer.uid), peer.pid, peer.user};
      }
      grpc::AddInsecureChannelFromFd(server_.get(), fd);
    });
    return absl::OkStatus();
  }

  Caller CallerOf(const grpc::ServerContext& context) const {
    const std::string peer = context.peer();
    absl::string_view number = peer;
    int fd = -1;
    if (!absl::ConsumePrefix(&number, "fd:") || !absl::SimpleAtoi(number, &fd)) return {};
    MutexLock lock(mutex_);
    const auto found = callers_.find(fd);
    return found == callers_.end() ? Caller{} : found->second;
  }

 private:
  const std::unique_ptr<UnixListener> listener_;
  std::unique_ptr<grpc::Server> server_;
  mutable Mutex mutex_;
  std::map<int, Caller> callers_ ABSL_GUARDED_BY(mutex_);  // By descriptor.
};

absl::StatusOr<std::unique_ptr<SocketServer>> SocketServer::Start(
    const config::v1::Listener& listener, grpc::Service& service) {
  RETURN_IF_ERROR(CheckAddress(listener.address()));
  if (!IsUnixAddress(listener.address())) {
    return InvalidField("address", "must be a unix socket");
  }
  ASSIGN_OR_RETURN(auto socket, UnixListener::Listen(UnixPath(listener.address()),
                                                     {listener.allowed_users().begin(),
                                                      listener.allowed_users().end()}));
  auto impl = std::make_unique<Impl>(std::move(socket));
  RETURN_IF_ERROR(impl->Serve(service));
  return std::unique_ptr<SocketServer>(new SocketServer(std::move(impl)));
}

SocketServer::SocketServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
SocketServer::~SocketServer() = default;

Caller SocketServer::CallerOf(const grpc::ServerContext& context) const {
  return impl_->CallerOf(context);
}

}  // namespace virmo
