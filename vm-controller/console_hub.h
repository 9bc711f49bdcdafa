// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/mutex.h"
#include "vm-controller/machine_files.h"

namespace virmo::vm_controller {

// The serial consoles of all virtual machines. The hub is the only client of each guest's
// console socket, as long as the guest runs: whoever wants to see or type goes through it, so
// that a lock can cut everybody off. What guests write is kept in a log of at most 2 MiB a
// virtual machine. Thread-safe.
class ConsoleHub {
 public:
  // What one listener hears.
  class Stream {
   public:
    enum class State { kOutput, kTimeout, kClosed };
    // The next output. kClosed: a lock cut it off, or we shut down.
    State Next(absl::Duration timeout, std::string* output);

   private:
    friend class ConsoleHub;
    explicit Stream(std::shared_ptr<Broadcast<std::string>> source)
        : source_(std::move(source)), subscription_(*source_) {}
    const std::shared_ptr<Broadcast<std::string>> source_;
    Broadcast<std::string>::Subscription subscription_;
    std::string backlog_;
  };

  explicit ConsoleHub(MachineFiles files);
  ~ConsoleHub();
  ConsoleHub(const ConsoleHub&) = delete;
  ConsoleHub& operator=(const ConsoleHub&) = delete;

  // Connects to the console of a virtual machine that was started; harmless if it is connected.
  void Attach(const std::string& id);
  void Detach(const std::string& id);

  // Cuts all listeners off and lets nobody in, or lets them in again.
  void SetBarred(const std::string& id, bool barred);

  // A stream that begins with the last `backlog_bytes` written before. FAILED_PRECONDITION
  // (VM_LOCKED) if barred.
  absl::StatusOr<std::unique_ptr<Stream>> Open(const std::string& id, int backlog_bytes);

  // Types. What the guest does not take at once is lost, as on a wire.
  absl::Status Write(const std::string& id, absl::string_view input);

  // Ends all streams, for shutdown.
  void Close();

 private:
  struct Line {
    int fd = -1;
    bool wanted = false;
    int attempts = 0;
    bool barred = false;
    int64_t log_size = -1;  // -1: not looked yet.
    std::shared_ptr<Broadcast<std::string>> output = std::make_shared<Broadcast<std::string>>();
  };

  void Run();
  int Prepare(std::vector<::pollfd>& polls, std::vector<std::string>& ids);
  void Connect(const std::string& id, Line& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Receive(const std::string& id);
  void Log(const std::string& id, Line& line, absl::string_view text)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Backlog(const std::string& id, size_t bytes);
  void Wake();

  const MachineFiles files_;
  int wake_ = -1;
  Mutex mutex_;
  std::map<std::string, Line> lines_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace virmo::vm_controller
