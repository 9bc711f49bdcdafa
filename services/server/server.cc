// SPDX-License-Identifier: Apache-2.0
#include "services/server/server.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/dm/dm_endpoint.h"
#include "services/server/fleet/fleet_service.h"
#include "services/server/fleet/housekeeper.h"
#include "services/server/fleet/notifier.h"
#include "services/server/http/http_server.h"
#include "services/server/images/image_endpoint.h"
#include "services/server/images/image_service.h"
#include "services/server/store/schema.h"

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
  options.max_body_bytes = static_cast<size_t>(config.max_message_bytes());
  return options;
}

// What must exist before anything else can be made.
struct Foundation {
  std::unique_ptr<Database> database;
  std::unique_ptr<SecretBox> secrets;
  std::unique_ptr<ImageLibrary> images;
  std::unique_ptr<HttpServer> http;
};

absl::StatusOr<Foundation> LayFoundation(const config::v1::ServerConfig& config,
                                         const Clock& clock) {
  RETURN_IF_ERROR(CheckConfig(config));
  const std::string& folder = config.state_directory();
  Foundation base;
  RETURN_IF_ERROR(MakeDirectory(folder));
  ASSIGN_OR_RETURN(base.database, Database::Open(folder + "/server.db", {GetSchema()}));
  ASSIGN_OR_RETURN(const auto rows, base.database->Query("SELECT COUNT(*) FROM device"));
  RETURN_IF_ERROR(MakeDirectory(folder + "/keys"));
  ASSIGN_OR_RETURN(base.secrets,
                   SecretBox::Open(folder + "/keys/device-secrets.key",
                                   rows[0].Int(0) == 0 ? SecretBox::IfMissing::kMakeKey
                                                       : SecretBox::IfMissing::kFail));
  ASSIGN_OR_RETURN(base.images, ImageLibrary::Open(folder + "/images", *base.database, clock));
  ASSIGN_OR_RETURN(base.http, HttpServer::Listen(HttpOptions(config)));
  const std::string address = base.http->address();
  const bool is_anywhere =
      absl::StartsWith(address, "0.0.0.0:") || absl::StartsWith(address, "[::]:");
  if (is_anywhere && config.public_url().empty()) {
    return InvalidField("public_url", absl::StrCat("devices cannot reach ", address,
                                                   "; say how they reach this server"));
  }
  return base;
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
  return config;
}

class Server::Impl {
 public:
  Impl(const config::v1::ServerConfig& config, Foundation foundation, const Clock& clock)
      : base(std::move(foundation)),
        public_url(PublicUrl(config, *base.http)),
        stale_after(absl::Seconds(config.stale_after_seconds())),
        devices(*base.database, *base.secrets, clock),
        inventory(*base.database, clock, stale_after),
        queue(*base.database, clock),
        alerts(*base.database, clock),
        notifier(devices, queue, feed, config.server_id()),
        housekeeper(*base.database, devices, clock, absl::Hours(24) * config.retention_days()),
        validator(devices, inventory, queue, *base.images),
        fleet_service({*base.database,
                       devices,
                       inventory,
                       queue,
                       validator,
                       alerts,
                       feed,
                       {config.server_id(), DmUrl(public_url)},
                       [this](const std::string& device) { notifier.Notify(device); }}),
        image_service(*base.images, queue, public_url),
        image_endpoint(*base.images),
        dm_parts{*base.database,
                 devices,
                 inventory,
                 queue,
                 alerts,
                 *base.images,
                 feed,
                 clock,
                 config.server_id(),
                 public_url,
                 static_cast<size_t>(config.max_message_bytes()),
                 stale_after,
                 [this](const std::string& device) { notifier.SessionSeen(device); }},
        dm_handler(dm_parts),
        dm_endpoint(dm_handler) {}

  // Devices first lose us, then what their messages need goes.
  ~Impl() { base.http.reset(); }

  HttpResponse Route(const HttpRequest& request) {
    if (request.path == "/dm") return dm_endpoint.Handle(request);
    if (absl::StartsWith(request.path, "/images/")) return image_endpoint.Handle(request);
    return TextResponse(404, "nothing here; devices use /dm and /images/");
  }

  Foundation base;
  const std::string public_url;
  const absl::Duration stale_after;
  EventFeed feed;
  DeviceRegistry devices;
  Inventory inventory;
  CommandQueue queue;
  AlertStore alerts;
  Notifier notifier;
  Housekeeper housekeeper;
  CommandValidator validator;
  FleetService fleet_service;
  ImageService image_service;
  ImageEndpoint image_endpoint;
  DmParts dm_parts;
  DmHandler dm_handler;
  DmEndpoint dm_endpoint;
};

absl::StatusOr<std::unique_ptr<Server>> Server::Open(const config::v1::ServerConfig& config,
                                                     Clock clock) {
  ASSIGN_OR_RETURN(Foundation base, LayFoundation(config, clock));
  auto impl = std::make_unique<Impl>(config, std::move(base), clock);
  Impl* const parts = impl.get();
  parts->base.http->Start([parts](const HttpRequest& request) { return parts->Route(request); });
  parts->notifier.NotifyAll();
  spdlog::info("serving devices url={} server_id={}", parts->public_url, config.server_id());
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

grpc::Service& Server::fleet_service() { return impl_->fleet_service; }
grpc::Service& Server::image_service() { return impl_->image_service; }
void Server::CloseStreams() { impl_->feed.Close(); }
const std::string& Server::public_url() const { return impl_->public_url; }

}  // namespace virmo::server
