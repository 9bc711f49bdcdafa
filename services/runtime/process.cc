// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/process.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "grpcpp/server_posix.h"
#include "services/runtime/address.h"
#include "services/runtime/call_count.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/health_service.h"
#include "services/runtime/logging.h"
#include "services/runtime/mutex.h"
#include "services/runtime/peer_name_check.h"
#include "services/runtime/process_service.h"
#include "services/runtime/service_names.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/unix_listener.h"

namespace virmo {

namespace {

// How long running calls may go on.
constexpr absl::Duration kGrace = absl::Seconds(2);
// How long idle clients have to close by themselves.
constexpr auto kGoodbye = std::chrono::milliseconds(50);
// Each call under way, watchers included, holds a thread; more are told RESOURCE_EXHAUSTED.
constexpr int kMaxThreads = 256;

sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

absl::Status CheckListener(const config::v1::Listener& listener) {
  const std::string& address = listener.address();
  RETURN_IF_ERROR(CheckAddress(address));
  if (IsUnixAddress(address)) return absl::OkStatus();
  if (listener.has_tls()) return CheckTls(listener.tls());
  if (!IsLoopbackAddress(address)) {
    return InvalidField("tls", absl::StrCat("is required to listen on ", address,
                                            ", which is not a loopback address"));
  }
  if (!listener.insecure_loopback()) {
    return InvalidField("tls",
                        absl::StrCat("set it, or insecure_loopback, to listen on ", address));
  }
  return absl::OkStatus();
}

}  // namespace

class Process::Impl {
 public:
  Impl(std::string name, config::v1::Listener listener, int stop_fd, int signal_fd)
      : name_(std::move(name)),
        listener_(std::move(listener)),
        stop_fd_(stop_fd),
        signal_fd_(signal_fd),
        start_(std::chrono::steady_clock::now()),
        process_service_(name_, [this] { ShowHealth(); }),
        peer_name_check_(std::make_shared<PeerNameCheck>(std::set<std::string>(
            listener_.tls().allowed_peers().begin(), listener_.tls().allowed_peers().end()))) {}

  ~Impl() {
    close(stop_fd_);
    close(signal_fd_);
  }

  void Register(grpc::Service& service) { services_.push_back(&service); }

  absl::Status Serve() {
    RETURN_IF_ERROR(Listen());
    std::string address;
    {
      MutexLock lock(mutex_);
      address = address_;
    }
    spdlog::info("ready address={} took_ms={}", address,
                 std::chrono::duration_cast<std::chrono::milliseconds>(
                     std::chrono::steady_clock::now() - start_)
                     .count());
    WaitForEnd();
    Shutdown();
    return absl::OkStatus();
  }

  void OnShutdown(std::function<void()> hook) {
    MutexLock lock(mutex_);
    hooks_.push_back(std::move(hook));
  }

  void RequestStop() {
    const uint64_t one = 1;
    // Fails only when the counter is full, and then it is readable anyway.
    if (write(stop_fd_, &one, sizeof(one)) < 0) spdlog::debug("stop was requested already");
  }

  ProcessService& process_service() { return process_service_; }

  Caller CallerOf(const grpc::ServerContext& context) const {
    if (!IsUnixAddress(listener_.address())) {
      const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
      return {-1, -1, auth == nullptr ? "" : peer_name_check_->AllowedNameOf(*auth)};
    }
    const std::string peer = context.peer();
    absl::string_view number = peer;
    int fd = -1;
    if (!absl::ConsumePrefix(&number, "fd:") || !absl::SimpleAtoi(number, &fd)) return {};
    MutexLock lock(mutex_);
    const auto found = callers_.find(fd);
    return found == callers_.end() ? Caller{} : found->second;
  }

  std::string address() const {
    MutexLock lock(mutex_);
    return address_;
  }

 private:
  absl::Status Listen() {
    grpc::ServerBuilder builder;
    // One thread waits for work; another is kept for the next call.
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
    builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::CQ_TIMEOUT_MSEC, 10000);
    builder.SetResourceQuota(grpc::ResourceQuota(name_).SetMaxThreads(kMaxThreads));
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    // A second process must not share the port, silently taking half the connections.
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetOption(std::make_unique<AddServiceNames>(service_names_));
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> counters;
    counters.push_back(std::make_unique<CallCount>(calls_));
    builder.experimental().SetInterceptorCreators(std::move(counters));
    for (grpc::Service* service : services_) builder.RegisterService(service);
    builder.RegisterService(&process_service_);
    builder.RegisterService(&health_service_);
    return IsUnixAddress(listener_.address()) ? ListenOnSocket(builder) : ListenOnPort(builder);
  }

  bool Start(grpc::ServerBuilder& builder) {
    {
      MutexLock lock(health_mutex_);
      server_ = builder.BuildAndStart();
      if (server_ == nullptr) return false;
    }
    health_service_.SetServices(service_names_);
    ShowHealth();
    return true;
  }

  absl::Status ListenOnSocket(grpc::ServerBuilder& builder) {
    ASSIGN_OR_RETURN(unix_listener_, UnixListener::Listen(UnixPath(listener_.address()),
                                                          {listener_.allowed_users().begin(),
                                                           listener_.allowed_users().end()}));
    if (!Start(builder)) {
      return Error(v1::ErrorInfo::REASON_INTERNAL, "cannot start the gRPC server");
    }
    unix_listener_->Start([this](int fd, const UnixListener::Peer& peer) {
      {
        MutexLock lock(mutex_);
        callers_[fd] = {static_cast<int>(peer.uid), peer.pid, peer.user};
      }
      grpc::AddInsecureChannelFromFd(server_.get(), fd);
    });
    MutexLock lock(mutex_);
    address_ = listener_.address();
    return absl::OkStatus();
  }

  absl::Status ListenOnPort(grpc::ServerBuilder& builder) {
    int port = 0;
    // A name like `localhost` can mean two addresses, on which port 0 would be two ports.
    builder.AddListeningPort(listener_.address(), MakeCredentials(), &port);
    if (!Start(builder) || port == 0) {
      return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
                   absl::StrCat("cannot listen on ", listener_.address(),
                                ": in use, or not an address of this host"),
                   {{"address", listener_.address()}});
    }
    MutexLock lock(mutex_);
    address_ =
        absl::StrCat(listener_.address().substr(0, listener_.address().rfind(':')), ":", port);
    return absl::OkStatus();
  }

  std::shared_ptr<grpc::ServerCredentials> MakeCredentials() const {
    if (!listener_.has_tls()) return grpc::InsecureServerCredentials();
    grpc::experimental::TlsServerCredentialsOptions options(
        MakeCertificateProvider(listener_.tls()));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    std::shared_ptr<grpc::ServerCredentials> credentials =
        grpc::experimental::TlsServerCredentials(options);
    credentials->SetAuthMetadataProcessor(peer_name_check_);
    return credentials;
  }

  void WaitForEnd() const {
    pollfd fds[] = {{stop_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR) {
    }
    signalfd_siginfo info{};
    if (fds[1].revents != 0 && read(signal_fd_, &info, sizeof(info)) == sizeof(info)) {
      spdlog::info("ending signal={} sender_pid={}", info.ssi_signo, info.ssi_pid);
    }
  }

  void Shutdown() {
    {
      MutexLock lock(health_mutex_);
      ending_ = true;
    }
    ShowHealth();
    if (unix_listener_ != nullptr) unix_listener_->Stop();
    std::vector<std::function<void()>> hooks;
    {
      MutexLock lock(mutex_);
      hooks.swap(hooks_);
    }
    for (const auto& hook : hooks) hook();
    health_service_.Close();
    WaitForCalls();
    // gRPC would wait for every connection to close, and an idle client may not look for seconds.
    server_->Shutdown(std::chrono::system_clock::now() + kGoodbye);
    server_->Wait();
    {
      MutexLock lock(health_mutex_);
      server_.reset();
    }
    unix_listener_.reset();
    spdlog::info("ended");
  }

  void WaitForCalls() {
    MutexLock lock(calls_.mutex);
    lock.WaitFor(calls_.changed, kGrace,
                 [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return calls_.calls == 0; });
  }

  // Reads what to show under the lock, so that the last change is what is shown.
  void ShowHealth() {
    MutexLock lock(health_mutex_);
    health_service_.SetServing(server_ != nullptr && !ending_ && process_service_.AllWell());
  }

  const std::string name_;
  const config::v1::Listener listener_;
  const int stop_fd_;
  const int signal_fd_;
  const std::chrono::steady_clock::time_point start_;
  ProcessService process_service_;
  HealthService health_service_;
  const std::shared_ptr<PeerNameCheck> peer_name_check_;
  CallCount::State calls_;
  std::vector<grpc::Service*> services_;
  std::vector<std::string> service_names_;
  std::unique_ptr<UnixListener> unix_listener_;
  Mutex health_mutex_;  // Held while what health shows is read and shown.
  std::unique_ptr<grpc::Server> server_;
  bool ending_ ABSL_GUARDED_BY(health_mutex_) = false;
  mutable Mutex mutex_;
  std::string address_ ABSL_GUARDED_BY(mutex_);
  std::map<int, Caller> callers_ ABSL_GUARDED_BY(mutex_);  // By descriptor.
  std::vector<std::function<void()>> hooks_ ABSL_GUARDED_BY(mutex_);
};

Process::Process(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Process::~Process() = default;

absl::StatusOr<std::unique_ptr<Process>> Process::Create(std::string name,
                                                         config::v1::Listener listener) {
  const absl::Status status = CheckListener(listener);
  if (!status.ok()) return Annotate(status, "listener");
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  const int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (stop_fd < 0 || signal_fd < 0) {
    return Error(v1::ErrorInfo::REASON_INTERNAL, "cannot make an eventfd or signalfd");
  }
  PollIdleChannelsEverySecond();
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  return std::unique_ptr<Process>(new Process(
      std::make_unique<Impl>(std::move(name), std::move(listener), stop_fd, signal_fd)));
}

void Process::Register(grpc::Service& service) { impl_->Register(service); }

absl::Status Process::Serve() { return impl_->Serve(); }

void Process::OnShutdown(std::function<void()> hook) { impl_->OnShutdown(std::move(hook)); }

void Process::RequestStop() { impl_->RequestStop(); }

void Process::SetDegraded(absl::string_view subject, absl::string_view cause) {
  impl_->process_service().SetDegraded(subject, cause);
}

void Process::ClearDegraded(absl::string_view subject) {
  impl_->process_service().ClearDegraded(subject);
}

Caller Process::CallerOf(const grpc::ServerContext& context) const {
  return impl_->CallerOf(context);
}

std::string Process::address() const { return impl_->address(); }

}  // namespace virmo
