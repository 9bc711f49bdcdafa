// SPDX-License-Identifier: Apache-2.0
#include "services/server/http/http_server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/server/http/certificate_names.h"

namespace virmo::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using PlainStream = beast::tcp_stream;
using TlsStream = beast::ssl_stream<beast::tcp_stream>;
using Parser = http::request_parser<http::string_body>;

constexpr auto kToken = asio::as_tuple(asio::use_awaitable);
constexpr uint32_t kMaxHeaderBytes = 16 << 10;
constexpr size_t kPiece = 256 << 10;
constexpr size_t kMaxDrain = 16 << 20;

std::chrono::milliseconds Chrono(absl::Duration duration) {
  return absl::ToChronoMilliseconds(duration);
}

HttpRequest RequestOf(Parser& parser, const HttpRequest& peer) {
  auto& message = parser.get();
  HttpRequest request = peer;
  request.method = std::string(message.method_string());
  const std::string target(message.target());
  const size_t query = target.find('?');
  request.path = target.substr(0, query);
  if (query != std::string::npos) request.query = target.substr(query + 1);
  for (const auto& field : message) {
    request.headers[absl::AsciiStrToLower(std::string(field.name_string()))] =
        std::string(field.value());
  }
  request.body = std::move(message.body());
  return request;
}

// What the peer is told of a request that cannot be read; nothing if it is simply gone.
std::optional<HttpResponse> ErrorFor(const beast::error_code& error) {
  if (error == http::error::body_limit) return TextResponse(413, "the message is too large");
  if (error == http::error::header_limit) return TextResponse(431, "the header is too large");
  if (error == beast::error::timeout || error == http::error::end_of_stream ||
      error == http::error::partial_message) {
    return std::nullopt;
  }
  const bool is_http = error.category() == make_error_code(http::error::bad_method).category();
  if (!is_http) return std::nullopt;
  return TextResponse(400, absl::StrCat("malformed HTTP: ", error.message()));
}

template <typename Body>
http::response<Body> HeaderOf(const HttpResponse& response, unsigned version, bool keep_alive) {
  http::response<Body> message;
  message.version(version);
  message.result(static_cast<unsigned>(response.status));
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.set(http::field::server, "VirMO");
  message.keep_alive(keep_alive);
  return message;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const Options& options, std::optional<asio::ssl::context> tls)
      : options_(options),
        tls_(std::move(tls)),
        acceptor_(io_),
        pool_(static_cast<size_t>(options.handler_threads)) {}

  ~Impl() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
    pool_.join();
  }

  absl::Status Bind(const tcp::endpoint& endpoint) {
    beast::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (!error) return absl::OkStatus();
    return Error(error == asio::error::address_in_use ? v1::ErrorInfo::REASON_ALREADY_EXISTS
                                                      : v1::ErrorInfo::REASON_INVALID_ARGUMENT,
                 absl::StrCat("cannot listen on ", options_.address, ": ", error.message()));
  }

  void Start(HttpHandler handler) {
    handler_ = std::move(handler);
    asio::co_spawn(io_, Accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }

  std::string address() const {
    beast::error_code error;
    const tcp::endpoint endpoint = acceptor_.local_endpoint(error);
    const std::string host = endpoint.address().to_string();
    return endpoint.address().is_v6() ? absl::StrCat("[", host, "]:", endpoint.port())
                                      : absl::StrCat(host, ":", endpoint.port());
  }
  bool has_tls() const { return tls_.has_value(); }

 private:
  // Counts a connection for as long as it lives.
  struct Slot {
    explicit Slot(std::atomic<size_t>& connections) : count(connections) { ++count; }
    ~Slot() { --count; }
    std::atomic<size_t>& count;
  };

  asio::awaitable<void> Accept() {
    while (acceptor_.is_open()) {
      auto [error, socket] = co_await acceptor_.async_accept(kToken);
      if (error) {
        // Out of files: wait for connections to end, rather than spin.
        asio::steady_timer pause(io_, std::chrono::milliseconds(100));
        co_await pause.async_wait(kToken);
        continue;
      }
      if (connections_ >= options_.max_connections) continue;  // Closes it.
      beast::error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      asio::co_spawn(io_, Serve(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<void> Serve(tcp::socket socket) {
    const Slot slot(connections_);
    if (!tls_) {
      PlainStream stream(std::move(socket));
      co_await Converse(stream, HttpRequest());
      co_return;
    }
    TlsStream stream(std::move(socket), *tls_);
    beast::get_lowest_layer(stream).expires_after(Chrono(options_.header_timeout));
    auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kToken);
    if (error) co_return;
    HttpRequest peer;
    peer.over_tls = true;
    peer.certificate_names = CertificateNames(stream.native_handle());
    co_await Converse(stream, peer);
    beast::get_lowest_layer(stream).expires_after(std::chrono::seconds(1));
    co_await stream.async_shutdown(kToken);
  }

  // `peer` has what all requests of the connection have in common.
  template <typename Stream>
  asio::awaitable<void> Converse(Stream& stream, HttpRequest peer) {
    beast::flat_buffer buffer;
    bool more = true;
    while (more) {
      Parser parser;
      parser.header_limit(kMaxHeaderBytes);
      parser.body_limit(options_.max_body_bytes);
      const beast::error_code error = co_await Read(stream, buffer, parser);
      if (error) {
        const auto response = ErrorFor(error);
        if (!response) co_return;
        co_await Write(stream, *response, 11, false, false);
        co_await Drain(stream);
        co_return;
      }
      const unsigned version = parser.get().version();
      const bool keep_alive = parser.get().keep_alive();
      const bool head = parser.get().method() == http::verb::head;
      const HttpRequest request = RequestOf(parser, peer);
      const HttpResponse response =
          co_await asio::co_spawn(pool_, Call(handler_, request), asio::use_awaitable);
      more = co_await Write(stream, response, version, keep_alive, head) && keep_alive;
    }
    beast::error_code ignored;
    beast::get_lowest_layer(stream).socket().shutdown(tcp::socket::shutdown_send, ignored);
  }

  static asio::awaitable<HttpResponse> Call(const HttpHandler& handler,
                                            const HttpRequest& request) {
    co_return handler(request);
  }

  // On the pool, as a disk may take its time.
  static asio::awaitable<int64_t> ReadPiece(const OpenFile& file, int64_t offset, char* to,
                                            int64_t size) {
    co_return file.Read(offset, to, size);
  }

  template <typename Stream>
  asio::awaitable<beast::error_code> Read(Stream& stream, beast::flat_buffer& buffer,
                                          Parser& parser) {
    auto& transport = beast::get_lowest_layer(stream);
    transport.expires_after(Chrono(options_.header_timeout));
    {
      auto [error, size] = co_await http::async_read_header(stream, buffer, parser, kToken);
      if (error) co_return error;
    }
    transport.expires_after(Chrono(options_.body_timeout));
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      http::response<http::empty_body> go_on(http::status::continue_, parser.get().version());
      auto [error, size] = co_await http::async_write(stream, go_on, kToken);
      if (error) co_return error;
    }
    auto [error, size] = co_await http::async_read(stream, buffer, parser, kToken);
    co_return error;
  }

  // Whether the connection can go on.
  template <typename Stream>
  asio::awaitable<bool> Write(Stream& stream, const HttpResponse& response, unsigned version,
                              bool keep_alive, bool head) {
    beast::get_lowest_layer(stream).expires_after(Chrono(options_.write_timeout));
    const auto size = static_cast<uint64_t>(
        response.file ? response.file->size : static_cast<int64_t>(response.body.size()));
    if (!response.file && !head) {
      auto message = HeaderOf<http::string_body>(response, version, keep_alive);
      message.body() = response.body;
      message.prepare_payload();
      auto [error, count] = co_await http::async_write(stream, message, kToken);
      co_return !error;
    }
    auto message = HeaderOf<http::empty_body>(response, version, keep_alive);
    message.content_length(size);
    http::response_serializer<http::empty_body> serializer(message);
    auto [error, count] = co_await http::async_write_header(stream, serializer, kToken);
    if (error || head) co_return !error;
    co_return co_await WriteFile(stream, *response.file);
  }

  template <typename Stream>
  asio::awaitable<bool> WriteFile(Stream& stream, const FileBody& body) {
    std::vector<char> piece(kPiece);
    for (int64_t done = 0; done < body.size;) {
      const int64_t want = std::min(static_cast<int64_t>(kPiece), body.size - done);
      const int64_t count = co_await asio::co_spawn(
          pool_, ReadPiece(*body.file, body.offset + done, piece.data(), want),
          asio::use_awaitable);
      // A file that got shorter: the peer sees a short body and comes again.
      if (count <= 0) co_return false;
      beast::get_lowest_layer(stream).expires_after(Chrono(options_.write_timeout));
      auto [error, written] = co_await asio::async_write(
          stream, asio::buffer(piece.data(), static_cast<size_t>(count)), kToken);
      if (error) co_return false;
      done += count;
    }
    co_return true;
  }

  // Takes what the peer is still sending, for a while, so that it reads the answer rather than a
  // reset connection.
  template <typename Stream>
  asio::awaitable<void> Drain(Stream& stream) {
    auto& transport = beast::get_lowest_layer(stream);
    beast::error_code ignored;
    transport.socket().shutdown(tcp::socket::shutdown_send, ignored);
    transport.expires_after(std::chrono::seconds(5));
    std::vector<char> piece(16 << 10);
    for (size_t drained = 0; drained < kMaxDrain;) {
      auto [error, count] = co_await transport.async_read_some(asio::buffer(piece), kToken);
      if (error) co_return;
      drained += count;
    }
  }

  const Options options_;
  HttpHandler handler_;
  std::optional<asio::ssl::context> tls_;
  std::atomic<size_t> connections_ = 0;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::thread_pool pool_;
  std::thread thread_;
};

namespace {

absl::StatusOr<tcp::endpoint> EndpointOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 0 || port > 65535) {
    return InvalidField("http_address", absl::StrCat("\"", address, "\" is not HOST:PORT"));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  if (host.empty() || host == "*") host = "0.0.0.0";
  beast::error_code error;
  const auto ip = asio::ip::make_address(host, error);
  if (error) {
    return InvalidField("http_address", absl::StrCat("\"", host, "\" is no IP address"));
  }
  return tcp::endpoint(ip, static_cast<uint16_t>(port));
}

absl::StatusOr<asio::ssl::context> TlsContext(const HttpServer::Options& options) {
  asio::ssl::context context(asio::ssl::context::tls_server);
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.native_handle(), SSL_MODE_RELEASE_BUFFERS);
  beast::error_code error;
  context.use_certificate_chain_file(options.certificate_file, error);
  if (error) {
    return InvalidField("http_tls.certificate_file",
                        absl::StrCat(options.certificate_file, ": ", error.message()));
  }
  context.use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error) {
    return InvalidField("http_tls.key_file", absl::StrCat(options.key_file, ": ", error.message()));
  }
  if (options.client_ca_file.empty()) return context;
  context.load_verify_file(options.client_ca_file, error);
  if (error) {
    return InvalidField("device_ca_file",
                        absl::StrCat(options.client_ca_file, ": ", error.message()));
  }
  SSL_CTX* const raw = context.native_handle();
  SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(options.client_ca_file.c_str()));
  // A device may go on an earlier TLS session only here.
  const unsigned char context_name[] = "virmo";
  SSL_CTX_set_session_id_context(raw, context_name, sizeof(context_name) - 1);
  // Who has none proves itself within DM.
  context.set_verify_mode(asio::ssl::verify_peer);
  return context;
}

}  // namespace

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Listen(const Options& options) {
  ASSIGN_OR_RETURN(const tcp::endpoint endpoint, EndpointOf(options.address));
  std::optional<asio::ssl::context> tls;
  if (!options.certificate_file.empty()) {
    ASSIGN_OR_RETURN(tls, TlsContext(options));
  } else if (!endpoint.address().is_loopback()) {
    return InvalidField("http_address",
                        absl::StrCat(options.address, " is not loopback, and needs http_tls"));
  }
  auto impl = std::make_unique<Impl>(options, std::move(tls));
  RETURN_IF_ERROR(impl->Bind(endpoint));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

void HttpServer::Start(HttpHandler handler) { impl_->Start(std::move(handler)); }
std::string HttpServer::address() const { return impl_->address(); }
bool HttpServer::has_tls() const { return impl_->has_tls(); }

}  // namespace virmo::server
