// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace virmo::server::testing {

// A TCP connection to `127.0.0.1:PORT` on which a test says what no client would.
class RawConnection {
 public:
  explicit RawConnection(const std::string& address)
      : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<uint16_t>(std::atoi(address.substr(address.rfind(':') + 1).c_str())));
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  }
  ~RawConnection() { close(socket_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  bool connected() const { return connected_; }
  void Say(const std::string& text) {
    if (send(socket_, text.data(), text.size(), MSG_NOSIGNAL) < 0) connected_ = false;
  }
  // All that comes until the other side closes.
  std::string ReadToEnd() {
    std::string all;
    char piece[4096];
    ssize_t count = 0;
    while ((count = recv(socket_, piece, sizeof(piece), 0)) > 0) {
      all.append(piece, static_cast<size_t>(count));
    }
    return all;
  }

 private:
  int socket_;
  bool connected_ = false;
};

}  // namespace virmo::server::testing
