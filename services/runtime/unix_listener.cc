// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/unix_listener.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"

namespace virmo {

namespace {

// Connections get descriptor numbers from here on (MoveToFreshNumber).
constexpr int kFirstConnectionFd = 128;

absl::Status SocketError(absl::string_view what, const std::string& path) {
  return Error(v1::ErrorInfo::REASON_INTERNAL,
               absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(errno)),
               {{"file", path}});
}

// The user's number; nothing if there is no such user.
std::optional<uid_t> UidOf(const std::string& name) {
  uid_t number = 0;
  if (absl::SimpleAtoi(name, &number)) return number;
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  if (getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr) {
    return std::nullopt;
  }
  return entry.pw_uid;
}

std::string UserName(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::vector<char> buffer(16384);
  if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) != 0 || found == nullptr) {
    return absl::StrCat(uid);
  }
  return entry.pw_name;
}

// Descriptors below this number may be used.
int DescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 4096));
}

}  // namespace

absl::StatusOr<std::unique_ptr<UnixListener>> UnixListener::Listen(
    const std::string& path, const std::vector<std::string>& allowed_users) {
  std::set<uid_t> allowed = {0, geteuid()};
  bool everybody = false;
  bool others = false;
  if (!allowed_users.empty()) allowed.clear();
  for (const std::string& user : allowed_users) {
    if (user == "*") {
      everybody = true;
      continue;
    }
    const std::optional<uid_t> uid = UidOf(user);
    if (!uid) return InvalidField("allowed_users", absl::StrCat("there is no user `", user, "`"));
    allowed.insert(*uid);
    if (*uid != 0 && *uid != geteuid()) others = true;
  }
  std::unique_ptr<UnixListener> listener(new UnixListener(path, everybody, std::move(allowed)));
  RETURN_IF_ERROR(MakeDirectory(std::filesystem::path(path).parent_path().string(), 0755));
  RETURN_IF_ERROR(listener->Lock());
  // Others must get as far as the check of who they are.
  RETURN_IF_ERROR(listener->Bind(everybody || others ? 0666 : 0660));
  return listener;
}

UnixListener::UnixListener(std::string path, bool everybody, std::set<uid_t> allowed)
    : path_(std::move(path)), everybody_(everybody), allowed_(std::move(allowed)) {}

UnixListener::~UnixListener() {
  Stop();
  for (const int fd : {listen_fd_, stop_fd_, lock_fd_}) {
    if (fd >= 0) close(fd);
  }
}

absl::Status UnixListener::Lock() {
  const std::string lock = path_ + ".lock";
  // The file stays for ever: removing it would let two processes lock two files of one name.
  lock_fd_ = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (lock_fd_ < 0) return SocketError("open", lock);
  if (flock(lock_fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return SocketError("lock", lock);
  return Error(v1::ErrorInfo::REASON_ALREADY_EXISTS,
               absl::StrCat("another live process listens on ", path_), {{"file", path_}});
}

absl::Status UnixListener::Bind(mode_t mode) {
  stop_fd_ = eventfd(0, EFD_CLOEXEC);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0 || stop_fd_ < 0) return SocketError("make a socket for", path_);
  struct stat info {};
  if (lstat(path_.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      close(fd);
      return InvalidField("address", absl::StrCat(path_, " exists and is not a socket"));
    }
    unlink(path_.c_str());  // Left by a dead process: we hold the lock.
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
  // The mode is set before listen(): until then nobody can connect.
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      chmod(path_.c_str(), mode) != 0 || listen(fd, 128) != 0) {
    const absl::Status status = SocketError("listen on", path_);
    close(fd);
    return status;
  }
  listen_fd_ = fd;
  return absl::OkStatus();
}

void UnixListener::Start(OnConnection on_connection) {
  on_connection_ = std::move(on_connection);
  thread_ = std::thread([this] { AcceptAll(); });
}

void UnixListener::Stop() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    // Adding 1 to a fresh eventfd cannot fail.
    if (write(stop_fd_, &one, sizeof(one)) < 0) spdlog::error("cannot stop the listener");
    thread_.join();
  }
  if (listen_fd_ >= 0) unlink(path_.c_str());
}

void UnixListener::AcceptAll() {
  while (true) {
    pollfd fds[] = {{listen_fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) AcceptOne();
  }
}

void UnixListener::AcceptOne() {
  int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      // The connection stays in the queue; do not spin until there is room.
      pollfd stop = {stop_fd_, POLLIN, 0};
      poll(&stop, 1, 100);
    }
    return;
  }
  Peer peer;
  if (!Admit(fd, peer)) {
    close(fd);
    return;
  }
  on_connection_(MoveToFreshNumber(fd), peer);
}

bool UnixListener::Admit(int fd, Peer& peer) {
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return false;
  if (!everybody_ && !allowed_.contains(credentials.uid)) {
    LogRefusal(credentials.uid, credentials.pid);
    return false;
  }
  peer = {credentials.uid, credentials.pid, UserName(credentials.uid)};
  return true;
}

// At most one line a second: whoever is refused must not fill the disk.
void UnixListener::LogRefusal(uid_t uid, pid_t pid) {
  const absl::Time now = absl::Now();
  if (now >= refusal_told_ && now < refusal_told_ + absl::Seconds(1)) {
    ++refusals_untold_;
    return;
  }
  spdlog::warn("refused connection uid={} pid={} socket={} untold={}", uid, pid, path_,
               refusals_untold_);
  refusals_untold_ = 0;
  refusal_told_ = now;
}

// gRPC names the peer of a call by its descriptor's number. Numbers are used round-robin, so that
// a call whose connection is gone is not taken for one of the connection that came after it.
int UnixListener::MoveToFreshNumber(int fd) {
  if (next_fd_ < kFirstConnectionFd || next_fd_ >= DescriptorLimit()) {
    next_fd_ = kFirstConnectionFd;
  }
  int moved = fcntl(fd, F_DUPFD_CLOEXEC, next_fd_);
  if (moved < 0) moved = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (moved < 0) return fd;
  close(fd);
  next_fd_ = moved + 1;
  return moved;
}

}  // namespace virmo
