// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/transport/notification_listener.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"

namespace virmo::dm_bridge {
namespace {

constexpr size_t kMaxDatagram = 4096;

struct AddressDeleter {
  void operator()(addrinfo* info) const { freeaddrinfo(info); }
};

absl::StatusOr<std::unique_ptr<addrinfo, AddressDeleter>> Resolve(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return InvalidField("notification_address", absl::StrCat("not HOST:PORT: ", address));
  }
  std::string host = address.substr(0, colon);
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* info = nullptr;
  const int failed = getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                 address.substr(colon + 1).c_str(), &hints, &info);
  if (failed != 0) {
    return InvalidField("notification_address", absl::StrCat(address, ": ", gai_strerror(failed)));
  }
  return std::unique_ptr<addrinfo, AddressDeleter>(info);
}

int PortOf(int socket) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return 0;
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<NotificationListener>> NotificationListener::Start(
    const std::string& address, NotificationGate& gate) {
  ASSIGN_OR_RETURN(const auto info, Resolve(address));
  const int socket = ::socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0 || bind(socket, info->ai_addr, info->ai_addrlen) != 0) {
    const int error = errno;
    if (socket >= 0) close(socket);
    return InvalidField("notification_address",
                        absl::StrCat("cannot bind ", address, ": ", strerror(error)));
  }
  return std::unique_ptr<NotificationListener>(
      new NotificationListener(socket, PortOf(socket), gate));
}

NotificationListener::NotificationListener(int socket, int port, NotificationGate& gate)
    : socket_(socket),
      port_(port),
      stop_event_(eventfd(0, EFD_CLOEXEC)),
      gate_(gate),
      thread_([this] { Run(); }) {}

NotificationListener::~NotificationListener() {
  eventfd_write(stop_event_, 1);
  thread_.join();
  close(stop_event_);
  close(socket_);
}

void NotificationListener::Run() {
  pollfd events[] = {{.fd = socket_, .events = POLLIN, .revents = 0},
                     {.fd = stop_event_, .events = POLLIN, .revents = 0}};
  while (true) {
    if (poll(events, 2, -1) < 0 && errno != EINTR) return;
    if ((events[1].revents & POLLIN) != 0) return;
    if ((events[0].revents & POLLIN) != 0) Receive();
  }
}

void NotificationListener::Receive() {
  std::string datagram(kMaxDatagram, '\0');
  const ssize_t size = recv(socket_, datagram.data(), datagram.size(), 0);
  if (size < 0) return;
  datagram.resize(static_cast<size_t>(size));
  gate_.Take(datagram).IgnoreError();  // It logs; nobody is there to be told.
}

}  // namespace virmo::dm_bridge
