// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/testing/http_server.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace virmo::dm_bridge {
namespace {

// Adds what comes to `buffer`; false at the end of the connection.
bool ReadMore(int connection, std::string& buffer) {
  char part[16384];
  const ssize_t size = recv(connection, part, sizeof(part), 0);
  if (size <= 0) return false;
  buffer.append(part, static_cast<size_t>(size));
  return true;
}

size_t ContentLength(const std::string& headers) {
  const std::string lower = absl::AsciiStrToLower(headers);
  const size_t at = lower.find("content-length:");
  if (at == std::string::npos) return 0;
  size_t length = 0;
  const size_t begin = at + 15;
  const std::string text = lower.substr(begin, lower.find('\r', begin) - begin);
  return absl::SimpleAtoi(text, &length) ? length : 0;
}

std::optional<HttpServer::Request> ReadRequest(int connection, std::string& buffer) {
  size_t end;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!ReadMore(connection, buffer)) return std::nullopt;
  }
  HttpServer::Request request;
  request.headers = buffer.substr(0, end);
  const size_t path = request.headers.find(' ') + 1;
  request.path = request.headers.substr(path, request.headers.find(' ', path) - path);
  const size_t length = ContentLength(request.headers + "\r\n");
  while (buffer.size() < end + 4 + length) {
    if (!ReadMore(connection, buffer)) return std::nullopt;
  }
  request.body = buffer.substr(end + 4, length);
  buffer.erase(0, end + 4 + length);
  return request;
}

void SendAll(int connection, const std::string& octets) {
  size_t sent = 0;
  while (sent < octets.size()) {
    const ssize_t size = send(connection, octets.data() + sent, octets.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) return;
    sent += static_cast<size_t>(size);
  }
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  listen(socket_, 16);
  socklen_t size = sizeof(address);
  getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

HttpServer::~HttpServer() {
  stop_ = true;
  shutdown(socket_, SHUT_RDWR);
  acceptor_.join();
  close(socket_);
  std::vector<std::thread> threads;
  {
    MutexLock lock(mutex_);
    for (const int connection : connections_) shutdown(connection, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::string HttpServer::Url(const std::string& path) const {
  return absl::StrCat("http://127.0.0.1:", port_, path);
}

void HttpServer::Accept() {
  while (!stop_) {
    const int connection = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    MutexLock lock(mutex_);
    connections_.push_back(connection);
    threads_.emplace_back([this, connection] { Serve(connection); });
  }
}

void HttpServer::Serve(int connection) {
  std::string buffer;
  while (!stop_) {
    const std::optional<Request> request = ReadRequest(connection, buffer);
    if (!request) break;
    const std::optional<Response> response = handler_(*request);
    if (!response) break;
    SendAll(connection,
            absl::StrCat("HTTP/1.1 ", response->code, " X\r\nContent-Type: ",
                         "application/vnd.syncml.dm+xml\r\nContent-Length: ", response->body.size(),
                         "\r\n", response->headers, "\r\n", response->body));
  }
  shutdown(connection, SHUT_RDWR);
  MutexLock lock(mutex_);
  std::erase(connections_, connection);
  close(connection);
}

}  // namespace virmo::dm_bridge
