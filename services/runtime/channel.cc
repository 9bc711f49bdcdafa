// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/channel.h"

#include <chrono>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "services/runtime/address.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo {

namespace {

grpc::ChannelArguments CommonArguments() {
  grpc::ChannelArguments arguments;
  // The default grows to two minutes; a peer that was restarted is to be found within a second.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Despite its name: how long one attempt to connect, TLS included, may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 5000);
  // Our processes talk to each other directly, whatever http_proxy says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  return arguments;
}

grpc::ChannelArguments TcpArguments() {
  grpc::ChannelArguments arguments = CommonArguments();
  // A host that vanished says no goodbye; while a call or stream is open, ask.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  return arguments;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeTlsChannel(
    const config::v1::Endpoint& endpoint) {
  RETURN_IF_ERROR(CheckTls(endpoint.tls()));
  if (endpoint.tls().allowed_peers().empty()) {
    return InvalidField("tls.allowed_peers", "name the peer to expect");
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(MakeCertificateProvider(endpoint.tls()));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  grpc::ChannelArguments arguments = TcpArguments();
  arguments.SetSslTargetNameOverride(endpoint.tls().allowed_peers(0));
  return grpc::CreateCustomChannel(endpoint.address(), grpc::experimental::TlsCredentials(options),
                                   arguments);
}

}  // namespace

void PollIdleChannelsEverySecond() {
  // A channel on which no call waits connects, or notices a loss, only when gRPC looks at it:
  // every 5 s by default. Read once, when gRPC starts; what is set already stays.
  setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "1000", /*overwrite=*/0);
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const config::v1::Endpoint& endpoint) {
  static const bool polled = (PollIdleChannelsEverySecond(), true);
  static_cast<void>(polled);
  const std::string& address = endpoint.address();
  RETURN_IF_ERROR(CheckAddress(address));
  if (IsUnixAddress(address)) {
    return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                     CommonArguments());
  }
  if (endpoint.has_tls()) return MakeTlsChannel(endpoint);
  if (!IsLoopbackAddress(address)) {
    return InvalidField(
        "tls", absl::StrCat("is required for ", address, ", which is not a loopback address"));
  }
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), TcpArguments());
}

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout, bool wait_for_ready) {
  context.set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
  context.set_wait_for_ready(wait_for_ready);
}

}  // namespace virmo
