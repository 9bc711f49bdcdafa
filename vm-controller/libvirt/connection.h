// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "services/runtime/mutex.h"
#include "vm-controller/hypervisor.h"

namespace virmo::vm_controller {

// libvirt's event loop on a thread of its own. One per process, made before any connection and
// kept until its end: libvirt cannot be given a second one.
class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

 private:
  std::atomic<bool> stop_ = false;
  int timer_ = -1;
  std::thread thread_;
};

struct ConnectDeleter {
  void operator()(virConnectPtr connect) const { virConnectClose(connect); }
};
using ConnectPtr = std::unique_ptr<virConnect, ConnectDeleter>;

// A connection to libvirt that comes back: opened on a thread of its own, and opened again
// whenever it breaks. It is given out only once the driver has re-attached to the domains that
// run, since calls in that moment are answered wrongly (a destroyed domain "is not running").
// Thread-safe.
class Connection {
 public:
  // Tells `observer`, which must outlive it, of domains and of itself. Needs an EventLoop.
  Connection(std::string uri, HypervisorObserver& observer);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The connection, for one call. HYPERVISOR_UNAVAILABLE with the cause if there is none.
  absl::StatusOr<ConnectPtr> Get();

  // As Get, but waits for it to come (back).
  absl::StatusOr<ConnectPtr> Await(absl::Duration timeout);

  // Called when a call failed in a way that a broken connection explains: opens a new one.
  void Suspect();

 private:
  void Run();
  bool AwaitStopOrLoss(bool opened);
  bool Open();
  void RegisterEvents(virConnectPtr connect);
  void Drop(const std::string& why);
  static void OnClosed(virConnectPtr connect, int reason, void* self);
  static void OnDevice(virConnectPtr connect, virDomainPtr domain, const char* alias, void* self);
  static int OnLifecycle(virConnectPtr connect, virDomainPtr domain, int event, int detail,
                         void* self);

  const std::string uri_;
  HypervisorObserver& observer_;
  Mutex mutex_;
  std::condition_variable changed_;
  ConnectPtr connect_ ABSL_GUARDED_BY(mutex_);
  std::string error_ ABSL_GUARDED_BY(mutex_) = "not connected yet";
  bool lost_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<int> callbacks_;  // Of thread_ alone.
  std::thread thread_;
};

}  // namespace virmo::vm_controller
