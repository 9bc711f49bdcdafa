// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/http_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace virmo::vm_controller {
namespace {

std::string ReadHead(int connection) {
  std::string head;
  char buffer[1024];
  while (head.find("\r\n\r\n") == std::string::npos) {
    const ssize_t count = read(connection, buffer, sizeof(buffer));
    if (count <= 0) break;
    head.append(buffer, static_cast<size_t>(count));
  }
  return head;
}

// `bytes=N-` as `N-`.
std::string RangeOf(const std::string& head) {
  const std::string key = "Range: bytes=";
  const size_t at = head.find(key);
  if (at == std::string::npos) return "";
  return head.substr(at + key.size(), head.find("\r\n", at) - at - key.size());
}

void SendAll(int connection, const std::string& text) {
  size_t sent = 0;
  while (sent < text.size()) {
    const ssize_t count = send(connection, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<size_t>(count);
  }
}

}  // namespace

HttpFixture::HttpFixture(Behaviour behaviour) : behaviour_(std::move(behaviour)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<struct sockaddr*>(&address);
  EXPECT_EQ(bind(listener_, generic, length), 0);
  EXPECT_EQ(listen(listener_, 16), 0);
  EXPECT_EQ(getsockname(listener_, generic, &length), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

HttpFixture::~HttpFixture() {
  stop_ = true;
  thread_.join();
  close(listener_);
}

std::string HttpFixture::Url() const { return absl::StrCat("http://127.0.0.1:", port_, "/image"); }

std::vector<std::string> HttpFixture::Ranges() {
  MutexLock lock(mutex_);
  return ranges_;
}

void HttpFixture::Run() {
  while (!stop_) {
    struct pollfd ready = {listener_, POLLIN, 0};
    if (poll(&ready, 1, 20) != 1) continue;
    const int connection = accept(listener_, nullptr, nullptr);
    if (connection < 0) continue;
    Serve(connection);
    close(connection);
  }
}

void HttpFixture::Serve(int connection) {
  const std::string range = RangeOf(ReadHead(connection));
  {
    MutexLock lock(mutex_);
    ranges_.push_back(range);
  }
  behaviour_.on_request();
  if (behaviour_.status != 0) {
    return SendAll(connection, absl::StrCat("HTTP/1.1 ", behaviour_.status,
                                            " No\r\nContent-Length: 0\r\n\r\n"));
  }
  size_t from = 0;
  const bool ranged = behaviour_.ranges && !range.empty() &&
                      absl::SimpleAtoi(range.substr(0, range.find('-')), &from);
  if (ranged && from >= behaviour_.body.size()) {
    return SendAll(connection, "HTTP/1.1 416 No\r\nContent-Length: 0\r\n\r\n");
  }
  std::string body = behaviour_.body.substr(ranged ? from : 0);
  SendAll(connection, absl::StrCat("HTTP/1.1 ", ranged ? "206" : "200",
                                   " OK\r\nContent-Length: ", body.size(), "\r\n\r\n"));
  if (behaviour_.break_after >= 0) {
    body = body.substr(0, static_cast<size_t>(behaviour_.break_after));
  }
  SendAll(connection, body);
}

}  // namespace virmo::vm_controller
