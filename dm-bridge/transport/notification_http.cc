// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/transport/notification_http.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/notification.h"

namespace virmo::dm_bridge {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);

http::status StatusOf(const absl::Status& taken) {
  if (taken.ok() || absl::IsAlreadyExists(taken)) return http::status::accepted;
  if (absl::IsUnauthenticated(taken) || absl::IsNotFound(taken)) return http::status::forbidden;
  if (absl::IsInvalidArgument(taken)) return http::status::bad_request;
  return http::status::service_unavailable;
}

http::status StatusOf(const beast::error_code& error) {
  if (error == http::error::body_limit) return http::status::payload_too_large;
  if (error == http::error::header_limit) {
    return http::status::request_header_fields_too_large;
  }
  return http::status::bad_request;
}

absl::StatusOr<tcp::endpoint> Resolve(asio::io_context& io, const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return InvalidField("notification_http_address", absl::StrCat("not HOST:PORT: ", address));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  if (host.empty()) host = "0.0.0.0";
  beast::error_code error;
  tcp::resolver resolver(io);
  const auto found =
      resolver.resolve(host, address.substr(colon + 1),
                       tcp::resolver::passive | tcp::resolver::numeric_service, error);
  if (!error && !found.empty()) return found.begin()->endpoint();
  return InvalidField("notification_http_address", absl::StrCat(address, ": ", error.message()));
}

}  // namespace

class NotificationHttp::Impl {
 public:
  Impl(NotificationGate& gate, const Limits& limits)
      : gate_(gate), limits_(limits), acceptor_(io_) {}
  ~Impl() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Start(const std::string& address) {
    ASSIGN_OR_RETURN(const tcp::endpoint endpoint, Resolve(io_, address));
    beast::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return InvalidField("notification_http_address",
                          absl::StrCat("cannot bind ", address, ": ", error.message()));
    }
    asio::co_spawn(io_, Accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  int port() const {
    beast::error_code error;
    return acceptor_.local_endpoint(error).port();
  }

 private:
  asio::awaitable<void> Accept() {
    while (true) {
      auto [error, socket] = co_await acceptor_.async_accept(kToken);
      if (error) {
        // Out of files: wait for connections to end, rather than spin.
        asio::steady_timer pause(io_, std::chrono::milliseconds(100));
        co_await pause.async_wait(kToken);
        continue;
      }
      if (connections_ >= limits_.max_connections) continue;  // Closes it.
      ++connections_;
      asio::co_spawn(io_, Serve(beast::tcp_stream(std::move(socket))),
                     [this](const std::exception_ptr&) { --connections_; });
    }
  }

  asio::awaitable<void> Serve(beast::tcp_stream stream) {
    // Once, and for all that follows.
    stream.expires_after(absl::ToChronoMilliseconds(limits_.timeout));
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<uint32_t>(limits_.max_header_bytes));
    parser.body_limit(limits_.max_body_bytes);
    beast::flat_buffer buffer(limits_.max_header_bytes + limits_.max_body_bytes);
    const auto [error, size] = co_await http::async_read(stream, buffer, parser, kToken);
    const bool gone =
        error && (error == beast::error::timeout || error == http::error::end_of_stream ||
                  error.category() == boost::system::system_category());
    if (gone) co_return;
    http::response<http::empty_body> response;
    response.version(11);
    response.result(error ? StatusOf(error) : Take(parser.get()));
    response.keep_alive(false);
    response.prepare_payload();
    co_await http::async_write(stream, response, kToken);
    beast::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  http::status Take(const http::request<http::string_body>& request) {
    if (request.method() != http::verb::post) return http::status::method_not_allowed;
    const std::string type(request[http::field::content_type]);
    const std::string bare(absl::StripAsciiWhitespace(type.substr(0, type.find(';'))));
    if (!absl::EqualsIgnoreCase(bare, syncml::kNotificationContentType)) {
      return http::status::unsupported_media_type;
    }
    return StatusOf(gate_.Take(request.body()));
  }

  NotificationGate& gate_;
  const Limits limits_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  size_t connections_ = 0;  // Only the thread's.
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<NotificationHttp>> NotificationHttp::Start(
    const std::string& address, NotificationGate& gate, const Limits& limits) {
  auto impl = std::make_unique<Impl>(gate, limits);
  RETURN_IF_ERROR(impl->Start(address));
  return std::unique_ptr<NotificationHttp>(new NotificationHttp(std::move(impl)));
}

NotificationHttp::NotificationHttp(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NotificationHttp::~NotificationHttp() = default;

int NotificationHttp::port() const { return impl_->port(); }

}  // namespace virmo::dm_bridge
