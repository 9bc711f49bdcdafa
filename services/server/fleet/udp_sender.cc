// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/udp_sender.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace virmo::server {

absl::Status SendDatagram(const std::string& address, absl::string_view octets) {
  absl::string_view rest = address;
  const size_t colon = rest.rfind(':');
  if (!absl::ConsumePrefix(&rest, "udp:") || colon == absl::string_view::npos || colon < 4) {
    return absl::InvalidArgumentError(absl::StrCat(address, " is not udp:HOST:PORT"));
  }
  std::string host(rest.substr(0, colon - 4));
  const std::string port(rest.substr(colon - 3));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat(address, ": ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  const int udp = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (udp < 0) return absl::UnavailableError(std::strerror(errno));
  const ssize_t sent =
      sendto(udp, octets.data(), octets.size(), 0, found->ai_addr, found->ai_addrlen);
  const int error = errno;
  close(udp);
  if (sent == static_cast<ssize_t>(octets.size())) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(address, ": ", std::strerror(error)));
}

}  // namespace virmo::server
