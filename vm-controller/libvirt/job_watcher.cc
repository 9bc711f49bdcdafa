// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/job_watcher.h"

namespace virmo::vm_controller {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(200);

}  // namespace

JobWatcher::JobWatcher(virDomainPtr domain, const ActWatch& watch)
    : domain_(domain), watch_(watch), thread_([this] { Run(); }) {}

JobWatcher::~JobWatcher() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

bool JobWatcher::cancelled() {
  MutexLock lock(mutex_);
  return cancelled_;
}

void JobWatcher::Run() {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (lock.WaitFor(changed_, kLookEvery, [&] { return stop_; })) return;
    }
    Look();
  }
}

void JobWatcher::Look() {
  virDomainJobInfo info = {};
  if (virDomainGetJobInfo(domain_, &info) != 0 || info.type == VIR_DOMAIN_JOB_NONE) return;
  watch_.on_progress(static_cast<int64_t>(info.dataProcessed),
                     static_cast<int64_t>(info.dataTotal));
  if (!watch_.is_cancelled()) return;
  if (virDomainAbortJob(domain_) != 0) return;  // It ended meanwhile.
  MutexLock lock(mutex_);
  cancelled_ = true;
}

}  // namespace virmo::vm_controller
