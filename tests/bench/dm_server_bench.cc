// SPDX-License-Identifier: Apache-2.0
// What a DM message costs the server beside a raw HTTP echo of the same size on the same stack, by
// itself and with many devices at once (durable commit included, which those share).
//   dm_server_bench [--quick]
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/server/http/http_server.h"
#include "services/server/testing/running_server.h"

namespace virmo::server {
namespace {

using testing::DeviceMessage;
using testing::RunningServer;
using testing::ScriptedDevice;

// A connection that is kept, as devices in a session do. As little of a client as can be.
class KeptConnection {
 public:
  explicit KeptConnection(const std::string& address) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int port = 0;
    (void)absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port);
    to.sin_port = htons(static_cast<uint16_t>(port));
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)) != 0) std::abort();
  }
  ~KeptConnection() { close(socket_); }
  KeptConnection(const KeptConnection&) = delete;
  KeptConnection& operator=(const KeptConnection&) = delete;

  std::string Post(const std::string& path, const std::string& body) {
    const std::string request = absl::StrCat("POST ", path,
                                             " HTTP/1.1\r\nHost: x\r\nContent-Type: "
                                             "application/vnd.syncml.dm+xml\r\nContent-Length: ",
                                             body.size(), "\r\n\r\n", body);
    if (send(socket_, request.data(), request.size(), MSG_NOSIGNAL) < 0) std::abort();
    std::string answer;
    size_t end = std::string::npos;
    size_t length = 0;
    char piece[65536];
    while (end == std::string::npos || answer.size() < end + 4 + length) {
      const ssize_t count = recv(socket_, piece, sizeof(piece), 0);
      if (count <= 0) std::abort();
      answer.append(piece, static_cast<size_t>(count));
      if (end != std::string::npos) continue;
      end = answer.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      const size_t at = answer.find("Content-Length: ");
      length = static_cast<size_t>(std::atol(answer.c_str() + at + 16));
    }
    return answer.substr(end + 4);
  }

 private:
  const int socket_;
};

// Runs `each(device)` for all devices side by side, `rounds` times each; µs per call.
double Measure(int devices, int rounds, const std::function<void(int)>& each) {
  const absl::Time start = absl::Now();
  std::vector<std::thread> threads;
  for (int device = 0; device < devices; ++device) {
    threads.emplace_back([&, device] {
      for (int i = 0; i < rounds; ++i) each(device);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return absl::ToDoubleMicroseconds(absl::Now() - start) / devices / rounds;
}

std::string PathOf(const std::string& url) { return url.substr(url.find('/', 8)); }

void Compare(RunningServer& server, HttpServer& echo, int count, int rounds) {
  std::vector<std::unique_ptr<KeptConnection>> to_server;
  std::vector<std::unique_ptr<KeptConnection>> to_echo;
  std::vector<ScriptedDevice> devices;
  for (int i = 0; i < count; ++i) {
    to_server.push_back(std::make_unique<KeptConnection>(server.server->public_url().substr(7)));
    to_echo.push_back(std::make_unique<KeptConnection>(echo.address()));
    ScriptedDevice device(
        server.Enrol(absl::StrCat("bench-", count, "-", i)).account_textproto(),
        [&to_server, i](const DeviceMessage& message) -> absl::StatusOr<DeviceMessage> {
          return DeviceMessage{.octets = to_server[static_cast<size_t>(i)]->Post(
                                   PathOf(message.url), message.octets)};
        });
    if (!device.RunSession().ok()) std::abort();  // Reads the inventory once.
    devices.push_back(std::move(device));
  }
  // A session of a device that has nothing to tell and is told nothing: one message each way,
  // proven, stored and committed.
  std::vector<int> sessions(static_cast<size_t>(count), 1);
  const double dm = Measure(count, rounds, [&](int i) {
    ScriptedDevice& device = devices[static_cast<size_t>(i)];
    device.received.clear();
    device.Begin(absl::StrCat(++sessions[static_cast<size_t>(i)]));
    const auto answer = device.Send(device.Package1());
    if (!answer.ok() || testing::HeaderStatus(*answer) != 212) std::abort();
  });
  // The client's own work is the same: it makes the message, and reads one.
  const double raw = Measure(count, rounds, [&](int i) {
    ScriptedDevice& device = devices[static_cast<size_t>(i)];
    syncml::Message message = device.Package1();
    message.header.source = {device.account.device_uri(), device.account.client_name()};
    message.header.session_id = "1";
    message.header.msg_id = "1";
    const std::string octets = syncml::Encode(message, syncml::Encoding::kXml);
    const auto back = syncml::Decode(to_echo[static_cast<size_t>(i)]->Post("/echo", octets),
                                     syncml::Encoding::kXml);
    if (!back.ok()) std::abort();
  });
  std::printf("%8d %14.0f %14.0f %8.2f   <= 3\n", count, raw, dm, dm / raw);
}

int Run(bool quick) {
  RunningServer server;
  HttpServer::Options options;
  options.address = "127.0.0.1:0";
  auto echo = HttpServer::Listen(options);
  if (!echo.ok()) return 1;
  (*echo)->Start([](const HttpRequest& request) {
    HttpResponse response;
    response.headers["Content-Type"] = "application/vnd.syncml.dm+xml";
    response.body = request.body;
    return response;
  });
  std::printf("%8s %14s %14s %8s   %s\n", "devices", "echo us/msg", "DM us/msg", "ratio", "budget");
  for (const int count : {1, 4, 16, 64}) Compare(server, **echo, count, quick ? 3 : 2000 / count);
  return 0;
}

}  // namespace
}  // namespace virmo::server

int main(int argc, char** argv) {
  return virmo::server::Run(argc > 1 && std::strcmp(argv[1], "--quick") == 0);
}
