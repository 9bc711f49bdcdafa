// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace virmo {

// A unix socket that admits certain users only (SO_PEERCRED). gRPC's own listener neither checks
// its peers nor notices that another live process has the path, which it would silently take over.
// Internal to services/runtime.
class UnixListener {
 public:
  // The other end of an admitted connection.
  struct Peer {
    uid_t uid = 0;
    pid_t pid = 0;
    std::string user;  // Its name, or its number if it has none.
  };
  // Told of each admitted connection, on the accepting thread; owns `fd`.
  using OnConnection = std::function<void(int fd, const Peer& peer)>;

  // Listens. `allowed_users` are names or numbers; `*` is everybody; none: root and our own user.
  // ALREADY_EXISTS if a live process has the path (a lock on `PATH.lock` tells); a socket that a
  // dead one left is replaced. INVALID_ARGUMENT for an unknown user.
  static absl::StatusOr<std::unique_ptr<UnixListener>> Listen(
      const std::string& path, const std::vector<std::string>& allowed_users);

  // Stops, and removes the socket.
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  // Accepts on a thread of its own, once, until Stop().
  void Start(OnConnection on_connection);
  void Stop();

 private:
  UnixListener(std::string path, bool everybody, std::set<uid_t> allowed);

  absl::Status Lock();
  absl::Status Bind(mode_t mode);
  void AcceptAll();
  void AcceptOne();
  bool Admit(int fd, Peer& peer);
  void LogRefusal(uid_t uid, pid_t pid);
  int MoveToFreshNumber(int fd);

  const std::string path_;
  const bool everybody_;
  const std::set<uid_t> allowed_;
  int lock_fd_ = -1;
  int listen_fd_ = -1;
  int stop_fd_ = -1;
  int next_fd_ = 0;
  int refusals_untold_ = 0;
  absl::Time refusal_told_ = absl::InfinitePast();
  OnConnection on_connection_;
  std::thread thread_;
};

}  // namespace virmo
