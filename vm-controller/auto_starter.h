// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "services/runtime/mutex.h"
#include "services/runtime/sqlite.h"
#include "services/runtime/worker_pool.h"
#include "vm-controller/machines.h"

namespace virmo::vm_controller {

// Starts the virtual machines that are to start with the host, once for each boot of the host and
// not when only this process starts again: one after the other, the oldest first, never a locked
// one. One that does not fit is refused like any other start, and its alert says so. Thread-safe.
class AutoStarter {
 public:
  static Schema GetSchema();

  // The kernel's name for the boot it is in; empty if it cannot be told, then nothing starts.
  static std::string BootId();

  // Asks for a start; the same request id for the same machine and boot.
  using Start = std::function<absl::Status(const std::string& id, const std::string& request_id)>;

  // All must outlive it.
  AutoStarter(Database& database, Machines& machines, std::string boot_id, Start start);

  // Hypervisor and policy-engine answer: starts what is still due, soon. Cheap when nothing is.
  void Run();

  // Ends: returns when nothing is under way, and starts nothing any more.
  void Stop();

 private:
  void StartDue();
  bool IsDone();

  Database& database_;
  Machines& machines_;
  const std::string boot_id_;
  const Start start_;
  std::atomic<bool> done_ = false;
  Mutex mutex_;
  std::unique_ptr<WorkerPool> worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::vm_controller
