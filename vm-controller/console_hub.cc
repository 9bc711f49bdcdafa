// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/console_hub.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/memory/memory.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"

namespace virmo::vm_controller {
namespace {

constexpr int64_t kMaxLog = 1 << 20;  // Then it becomes the old log, of which one is kept.
constexpr int kConnectPauseMilliseconds = 50;
constexpr int kMaxConnectAttempts = 200;

std::string OldLog(const std::string& log) { return log + ".1"; }

}  // namespace

ConsoleHub::Stream::State ConsoleHub::Stream::Next(absl::Duration timeout, std::string* output) {
  if (!backlog_.empty()) {
    *output = std::move(backlog_);
    backlog_.clear();
    return State::kOutput;
  }
  switch (subscription_.Next(timeout, output)) {
    case Broadcast<std::string>::Subscription::State::kEvent:
      return State::kOutput;
    case Broadcast<std::string>::Subscription::State::kTimeout:
      return State::kTimeout;
    default:
      return State::kClosed;
  }
}

ConsoleHub::ConsoleHub(MachineFiles files)
    : files_(std::move(files)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      thread_([this] { Run(); }) {}

ConsoleHub::~ConsoleHub() {
  Close();
  thread_.join();
  MutexLock lock(mutex_);
  for (auto& [id, line] : lines_) {
    if (line.fd >= 0) close(line.fd);
  }
  close(wake_);
}

void ConsoleHub::Wake() {
  const uint64_t one = 1;
  (void)!write(wake_, &one, sizeof(one));
}

void ConsoleHub::Attach(const std::string& id) {
  MutexLock lock(mutex_);
  Line& line = lines_[id];
  line.wanted = true;
  line.attempts = 0;
  if (line.fd < 0) Connect(id, line);
  Wake();
}

void ConsoleHub::Detach(const std::string& id) {
  MutexLock lock(mutex_);
  Line& line = lines_[id];
  line.wanted = false;
  if (line.fd >= 0) close(line.fd);
  line.fd = -1;
  Wake();
}

void ConsoleHub::SetBarred(const std::string& id, bool barred) {
  MutexLock lock(mutex_);
  Line& line = lines_[id];
  if (barred == line.barred) return;
  line.barred = barred;
  if (!barred) return;
  line.output->Close();
  line.output = std::make_shared<Broadcast<std::string>>();
}

absl::StatusOr<std::unique_ptr<ConsoleHub::Stream>> ConsoleHub::Open(const std::string& id,
                                                                     int backlog_bytes) {
  MutexLock lock(mutex_);
  Line& line = lines_[id];
  if (line.barred) {
    return Error(v1::ErrorInfo::REASON_VM_LOCKED, "its console is closed: it is locked");
  }
  std::unique_ptr<Stream> stream = absl::WrapUnique(new Stream(line.output));
  if (stop_) line.output->Close();
  // Under the mutex, so that nothing is written between the backlog's end and the first output.
  stream->backlog_ = Backlog(id, static_cast<size_t>(std::max(0, backlog_bytes)));
  return stream;
}

absl::Status ConsoleHub::Write(const std::string& id, absl::string_view input) {
  MutexLock lock(mutex_);
  Line& line = lines_[id];
  if (line.barred) {
    return Error(v1::ErrorInfo::REASON_VM_LOCKED, "its console is closed: it is locked");
  }
  if (line.fd >= 0) (void)!send(line.fd, input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return absl::OkStatus();
}

void ConsoleHub::Close() {
  MutexLock lock(mutex_);
  stop_ = true;
  for (auto& [id, line] : lines_) line.output->Close();
  Wake();
}

void ConsoleHub::Connect(const std::string& id, Line& line) {
  const std::string path = files_.ConsoleSocket(id);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (connect(fd, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)) == 0) {
    line.fd = fd;
    line.attempts = 0;
    return;
  }
  close(fd);
  // A guest that was saved or ended takes its socket along: not for ever.
  if (++line.attempts >= kMaxConnectAttempts) line.wanted = false;
}

// Fills in what to wait for; returns for how long at most.
int ConsoleHub::Prepare(std::vector<::pollfd>& polls, std::vector<std::string>& ids) {
  MutexLock lock(mutex_);
  if (stop_) return 0;
  polls = {{wake_, POLLIN, 0}};
  ids = {""};
  bool pending = false;
  for (auto& [id, line] : lines_) {
    if (line.wanted && line.fd < 0) Connect(id, line);
    if (line.fd >= 0) {
      polls.push_back({line.fd, POLLIN, 0});
      ids.push_back(id);
    } else if (line.wanted) {
      pending = true;
    }
  }
  return pending ? kConnectPauseMilliseconds : -1;
}

void ConsoleHub::Run() {
  std::vector<::pollfd> polls;
  std::vector<std::string> ids;
  while (true) {
    const int timeout = Prepare(polls, ids);
    if (timeout == 0) return;
    poll(polls.data(), polls.size(), timeout);
    uint64_t count = 0;
    if (polls[0].revents != 0) (void)!read(wake_, &count, sizeof(count));
    for (size_t i = 1; i < polls.size(); ++i) {
      if (polls[i].revents != 0) Receive(ids[i]);
    }
  }
}

void ConsoleHub::Receive(const std::string& id) {
  char buffer[16384];
  MutexLock lock(mutex_);
  Line& line = lines_[id];
  if (line.fd < 0) return;
  const ssize_t count = read(line.fd, buffer, sizeof(buffer));
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    close(line.fd);
    line.fd = -1;
    line.attempts = kMaxConnectAttempts - 20;  // Once more for a second: it may restart.
    return;
  }
  const absl::string_view text(buffer, static_cast<size_t>(count));
  Log(id, line, text);
  line.output->Publish(std::string(text));
}

void ConsoleHub::Log(const std::string& id, Line& line, absl::string_view text) {
  const std::string path = files_.ConsoleLog(id);
  struct stat info;
  if (line.log_size < 0) line.log_size = stat(path.c_str(), &info) == 0 ? info.st_size : 0;
  if (line.log_size >= kMaxLog) {
    std::rename(path.c_str(), OldLog(path).c_str());
    line.log_size = 0;
  }
  const int fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return;  // It goes on without a log: a full disk must not stop the guest.
  const ssize_t written = write(fd, text.data(), text.size());
  if (written > 0) line.log_size += written;
  close(fd);
}

std::string ConsoleHub::Backlog(const std::string& id, size_t bytes) {
  if (bytes == 0) return "";
  const std::string path = files_.ConsoleLog(id);
  std::string text = ReadFile(path, 4 * kMaxLog).value_or("");
  if (text.size() < bytes) text = ReadFile(OldLog(path), 4 * kMaxLog).value_or("") + text;
  return text.size() <= bytes ? text : text.substr(text.size() - bytes);
}

}  // namespace virmo::vm_controller
