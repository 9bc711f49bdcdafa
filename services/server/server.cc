// SPDX-License-Identifier: Apache-2.0
#include "services/server/server.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/dm_endpoint.h"
#include "services/server/fleet/fleet_service.h"
#include "services/server/fleet/housekeeper.h"
#include "services/server/fleet/notifier.h"
#include "services/server/fleet_parts.h"
#include "services/server/http/http_server.h"
#include "services/server/images/image_endpoint.h"
#include "services/server/images/image_service.h"

namespace virmo::server {
namespace {

absl::Status CheckConfig(const config::v1::ServerConfig& config) {
  if (config.server_id().empty() || config.server_id().size() > 255 ||
      config.server_id().find_first_of("=&*+ \t\r\n") != std::string::npos) {
    return InvalidField("server_id",
                        "server_id must have 1 to 255 characters, none of `=&*+` or "
                        "white space");
  }
  if (config.max_message_bytes() < 4096 || config.max_message_bytes() > (64 << 20)) {
    return InvalidField("max_message_bytes", "max_message_bytes must be 4096 to 67108864");
  }
  const std::string& url = config.public_url();
  if (!url.empty() && !absl::StartsWith(url, "http://") && !absl::StartsWith(url, "https://")) {
    return InvalidField("public_url", absl::StrCat("\"", url, "\" is no http(s) URL"));
  }
  if (config.max_object_bytes() < 4096 || config.max_object_bytes() > (256 << 20)) {
    return InvalidField("max_object_bytes", "max_object_bytes must be 4096 to 268435456");
  }
  if (config.lockout_failures() < 1) {
    return InvalidField("lockout_failures", "must be at least 1");
  }
  const bool tls = !config.http_tls().certificate_file().empty();
  if (config.allow_basic() && !tls) {
    return InvalidField("allow_basic", "basic credentials are in clear: they need http_tls");
  }
  if (!config.device_ca_file().empty() && !tls) {
    return InvalidField("device_ca_file", "mutual TLS needs http_tls");
  }
  if (config.retention_days() < 1) return InvalidField("retention_days", "must be at least 1");
  if (config.stale_after_seconds() < 1) {
    return InvalidField("stale_after_seconds", "must be at least 1");
  }
  return absl::OkStatus();
}

std::string PublicUrl(const config::v1::ServerConfig& config, const HttpServer& http) {
  if (config.public_url().empty()) {
    return absl::StrCat(http.has_tls() ? "https://" : "http://", http.address());
  }
  return std::string(absl::StripSuffix(config.public_url(), "/"));
}

HttpServer::Options HttpOptions(const config::v1::ServerConfig& config) {
  HttpServer::Options options;
  options.address = config.http_address();
  options.certificate_file = config.http_tls().certificate_file();
  options.key_file = config.http_tls().key_file();
  options.client_ca_file = config.device_ca_file();
  options.max_body_bytes = static_cast<size_t>(config.max_message_bytes());
  return options;
}

absl::StatusOr<std::unique_ptr<HttpServer>> Listen(const config::v1::ServerConfig& config) {
  ASSIGN_OR_RETURN(auto http, HttpServer::Listen(HttpOptions(config)));
  const std::string address = http->address();
  const bool is_anywhere =
      absl::StartsWith(address, "0.0.0.0:") || absl::StartsWith(address, "[::]:");
  if (is_anywhere && config.public_url().empty()) {
    return InvalidField("public_url", absl::StrCat("devices cannot reach ", address,
                                                   "; say how they reach this server"));
  }
  return http;
}

FleetOptions OptionsOf(const config::v1::ServerConfig& config, const HttpServer& http) {
  return {.server_id = config.server_id(),
          .public_url = PublicUrl(config, http),
          .max_message_bytes = static_cast<size_t>(config.max_message_bytes()),
          .max_object_bytes = static_cast<size_t>(config.max_object_bytes()),
          .allow_basic = config.allow_basic(),
          .lockout_failures = config.lockout_failures(),
          .stale_after = absl::Seconds(config.stale_after_seconds())};
}

}  // namespace

config::v1::ServerConfig DefaultConfig() {
  config::v1::ServerConfig config;
  config.mutable_listener()->set_address("unix:/run/virmo/server.sock");
  config.set_state_directory("/var/lib/virmo/server");
  config.set_http_address("127.0.0.1:8080");
  config.set_server_id("virmo-server");
  config.set_stale_after_seconds(900);
  config.set_max_message_bytes(1 << 20);
  config.set_retention_days(90);
  config.set_lockout_failures(10);
  config.set_max_object_bytes(16 << 20);
  return config;
}

class Server::Impl {
 public:
  Impl(const config::v1::ServerConfig& config, Foundation base, std::unique_ptr<HttpServer> server,
       const Clock& clock)
      : http(std::move(server)),
        options(OptionsOf(config, *http)),
        parts(
            std::move(base), options, clock,
            [this](const std::string& device) { notifier.SessionSeen(device); },
            [this](const std::string& device) { notifier.NotifyLater(device); }),
        notifier(parts.devices, parts.queue, parts.feed, config.server_id()),
        housekeeper(*parts.base.database, parts.devices, clock,
                    absl::Hours(24) * config.retention_days()),
        fleet_service(parts.ForService(
            options, [this](const std::string& device) { notifier.Notify(device); })),
        image_service(*parts.base.images, parts.queue, options.public_url),
        image_endpoint(*parts.base.images),
        dm_endpoint(parts.handler, options.max_message_bytes) {}

  // Devices first lose us, then what their messages need goes.
  ~Impl() { http.reset(); }

  HttpResponse Route(const HttpRequest& request) {
    if (request.path == "/dm") return dm_endpoint.Handle(request);
    if (absl::StartsWith(request.path, "/images/")) return image_endpoint.Handle(request);
    return TextResponse(404, "nothing here; devices use /dm and /images/");
  }

  std::unique_ptr<HttpServer> http;
  const FleetOptions options;
  FleetParts parts;
  Notifier notifier;
  Housekeeper housekeeper;
  FleetService fleet_service;
  ImageService image_service;
  ImageEndpoint image_endpoint;
  DmEndpoint dm_endpoint;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Open(const config::v1::ServerConfig& config,
                                                     Clock clock) {
  RETURN_IF_ERROR(CheckConfig(config));
  ASSIGN_OR_RETURN(Foundation base, Foundation::Open(config.state_directory(), clock));
  ASSIGN_OR_RETURN(auto http, Listen(config));
  auto impl = std::make_unique<Impl>(config, std::move(base), std::move(http), clock);
  Impl* const server = impl.get();
  server->http->Start([server](const HttpRequest& request) { return server->Route(request); });
  server->notifier.NotifyAll();
  spdlog::info("serving devices url={} server_id={}", server->options.public_url,
               config.server_id());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

grpc::Service& Server::fleet_service() { return impl_->fleet_service; }
grpc::Service& Server::image_service() { return impl_->image_service; }
void Server::CloseStreams() { impl_->parts.feed.Close(); }
const std::string& Server::public_url() const { return impl_->options.public_url; }

}  // namespace virmo::server
