// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/connection.h"

#include <libvirt/virterror.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "vm-controller/libvirt/libvirt_error.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kReopenPause = absl::Milliseconds(300);
constexpr absl::Duration kReattachTimeout = absl::Seconds(15);
constexpr int kKeepAliveSeconds = 5;
constexpr int kKeepAliveCount = 3;

// Whether the driver has its grip on the domain again: its monitor answers.
bool IsReattached(virDomainPtr domain) {
  virDomainControlInfo info;
  if (virDomainGetControlInfo(domain, &info, 0) != 0) {
    const virError* error = virGetLastError();
    return error != nullptr && error->code == VIR_ERR_NO_SUPPORT;  // Not a driver that attaches.
  }
  if (info.state != VIR_DOMAIN_CONTROL_OK) return false;
  virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
  if (virDomainMemoryStats(domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0) >= 0) return true;
  return virDomainIsActive(domain) == 0;  // It ended while we looked.
}

void AwaitReattached(virConnectPtr connect) {
  virDomainPtr* domains = nullptr;
  const int count = virConnectListAllDomains(connect, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
  const absl::Time deadline = absl::Now() + kReattachTimeout;
  for (int i = 0; i < count; ++i) {
    while (!IsReattached(domains[i]) && virDomainIsActive(domains[i]) == 1 &&
           absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(20));
    }
    virDomainFree(domains[i]);
  }
  free(domains);
}

}  // namespace

EventLoop::EventLoop() {
  SilenceLibvirt();
  virEventRegisterDefaultImpl();
  // Without a timer the loop would sleep until the next event, and not see `stop_`.
  timer_ = virEventAddTimeout(
      -1, [](int, void*) {}, nullptr, nullptr);
  thread_ = std::thread([this] {
    while (!stop_) virEventRunDefaultImpl();
  });
}

EventLoop::~EventLoop() {
  stop_ = true;
  virEventUpdateTimeout(timer_, 0);
  thread_.join();
}

Connection::Connection(std::string uri, HypervisorObserver& observer)
    : uri_(std::move(uri)), observer_(observer), thread_([this] { Run(); }) {}

Connection::~Connection() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

absl::StatusOr<ConnectPtr> Connection::Get() { return Await(absl::ZeroDuration()); }

absl::StatusOr<ConnectPtr> Connection::Await(absl::Duration timeout) {
  MutexLock lock(mutex_);
  lock.WaitFor(changed_, timeout, [&] { return connect_ != nullptr || stop_; });
  if (connect_ == nullptr) {
    return Error(v1::ErrorInfo::REASON_HYPERVISOR_UNAVAILABLE,
                 absl::StrCat("cannot reach the hypervisor at ", uri_, ": ", error_),
                 {{"uri", uri_}, {"cause", error_}});
  }
  virConnectRef(connect_.get());
  return ConnectPtr(connect_.get());
}

void Connection::Suspect() {
  MutexLock lock(mutex_);
  lost_ = true;
  changed_.notify_all();
}

void Connection::Run() {
  while (!AwaitStopOrLoss(Open())) Drop("the connection broke");
  Drop("shutting down");
}

// Waits while the connection is good, or for a moment when it could not be opened. Returns
// whether all is to end.
bool Connection::AwaitStopOrLoss(bool opened) {
  MutexLock lock(mutex_);
  if (opened) {
    lock.Wait(changed_, [&] { return lost_ || stop_; });
  } else {
    lock.WaitFor(changed_, kReopenPause, [&] { return stop_; });
  }
  return stop_;
}

bool Connection::Open() {
  ConnectPtr connect(virConnectOpen(uri_.c_str()));
  if (connect == nullptr) {
    const std::string cause = virGetLastErrorMessage();
    bool news = false;
    {
      MutexLock lock(mutex_);
      news = cause != error_;
      error_ = cause;
    }
    if (news) observer_.OnReachable(false, cause);
    return false;
  }
  RegisterEvents(connect.get());
  AwaitReattached(connect.get());
  {
    MutexLock lock(mutex_);
    connect_ = std::move(connect);
    lost_ = false;
    error_.clear();
    changed_.notify_all();
  }
  spdlog::info("connected hypervisor={}", uri_);
  observer_.OnReachable(true, "");
  return true;
}

void Connection::RegisterEvents(virConnectPtr connect) {
  virConnectRegisterCloseCallback(connect, &Connection::OnClosed, this, nullptr);
  virConnectSetKeepAlive(connect, kKeepAliveSeconds, kKeepAliveCount);
  const auto listen = [&](int event, virConnectDomainEventGenericCallback callback) {
    const int id =
        virConnectDomainEventRegisterAny(connect, nullptr, event, callback, this, nullptr);
    if (id >= 0) callbacks_.push_back(id);
  };
  listen(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(&Connection::OnLifecycle));
  listen(VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, VIR_DOMAIN_EVENT_CALLBACK(&Connection::OnDevice));
  listen(VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, VIR_DOMAIN_EVENT_CALLBACK(&Connection::OnDevice));
}

void Connection::Drop(const std::string& why) {
  ConnectPtr old;
  {
    MutexLock lock(mutex_);
    old = std::move(connect_);
    error_ = why;
    lost_ = false;
  }
  if (old == nullptr) return;
  virConnectUnregisterCloseCallback(old.get(), &Connection::OnClosed);
  for (const int id : callbacks_) virConnectDomainEventDeregisterAny(old.get(), id);
  callbacks_.clear();
  old.reset();
  observer_.OnReachable(false, why);
}

void Connection::OnClosed(virConnectPtr, int, void* self) {
  static_cast<Connection*>(self)->Suspect();
}

void Connection::OnDevice(virConnectPtr, virDomainPtr domain, const char*, void* self) {
  char uuid[VIR_UUID_STRING_BUFLEN];
  if (virDomainGetUUIDString(domain, uuid) == 0) {
    static_cast<Connection*>(self)->observer_.OnDevicesChanged(uuid);
  }
}

int Connection::OnLifecycle(virConnectPtr, virDomainPtr domain, int, int, void* self) {
  char uuid[VIR_UUID_STRING_BUFLEN];
  if (virDomainGetUUIDString(domain, uuid) == 0) {
    static_cast<Connection*>(self)->observer_.OnDomainChanged(uuid);
  }
  return 0;
}

}  // namespace virmo::vm_controller
