// SPDX-License-Identifier: Apache-2.0
// software-usb KIND SOCKET [SERIAL]: a USB device in software, plugged into whoever connects to the
// unix socket, by the usbredir protocol. One peer at a time; it can leave and come back.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <memory>

#include "tests/support/software_usb/redirection.h"

namespace {

constexpr int kTickMilliseconds = 200;

// Bound under another name and moved, so that who sees it can connect to it.
int Listen(const std::string& path) {
  const std::string scratch = path + ".new";
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, scratch.c_str(), sizeof address.sun_path - 1);
  unlink(scratch.c_str());
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 4) != 0 ||
      chmod(scratch.c_str(), 0666) != 0 || rename(scratch.c_str(), path.c_str()) != 0) {
    return -1;
  }
  return fd;
}

// The later peer wins: the earlier one may be a guest that is gone.
void Accept(int listener, virmo::testing_support::UsbFunction& function, const std::string& serial,
            std::unique_ptr<virmo::testing_support::Redirection>& link) {
  const int peer = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (peer < 0) return;
  link.reset();
  link = std::make_unique<virmo::testing_support::Redirection>(function, serial, peer);
}

}  // namespace

int main(int argc, char** argv) {
  using virmo::testing_support::Redirection;
  if (argc < 3) return fprintf(stderr, "usage: software-usb KIND SOCKET [SERIAL]\n"), 2;
  signal(SIGPIPE, SIG_IGN);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto function = virmo::testing_support::MakeUsbFunction(argv[1]);
  if (function == nullptr) return fprintf(stderr, "software-usb: unknown kind %s\n", argv[1]), 2;
  const std::string serial = argc > 3 ? argv[3] : "VIRMO0001";
  const int listener = Listen(argv[2]);
  if (listener < 0) return perror("software-usb: cannot listen"), 1;
  std::unique_ptr<Redirection> link;
  while (true) {
    pollfd fds[2] = {{listener, POLLIN, 0}, {-1, POLLIN, 0}};
    if (link != nullptr) {
      fds[1].fd = link->fd();
      fds[1].events = static_cast<short>(POLLIN | (link->WantsToWrite() ? POLLOUT : 0));
    }
    const int ready = poll(fds, 2, kTickMilliseconds);
    if (ready == 0 && link != nullptr) function->OnTick();
    if (fds[1].revents != 0 || (ready == 0 && link != nullptr)) {
      if (!link->Serve()) link.reset();
    }
    if (fds[0].revents != 0) Accept(listener, *function, serial, link);
  }
}
