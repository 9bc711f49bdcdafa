// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <condition_variable>
#include <thread>

#include "services/runtime/mutex.h"
#include "vm-controller/hypervisor.h"

namespace virmo::vm_controller {

// Looks at a domain's job a few times a second while another thread waits for its end: tells how
// far it is, and aborts it when it is to be cancelled.
class JobWatcher {
 public:
  // Both must outlive it.
  JobWatcher(virDomainPtr domain, const ActWatch& watch);
  ~JobWatcher();
  JobWatcher(const JobWatcher&) = delete;
  JobWatcher& operator=(const JobWatcher&) = delete;

  // Whether the job was told to end early.
  bool cancelled();

 private:
  void Run();
  void Look();

  const virDomainPtr domain_;
  const ActWatch& watch_;
  Mutex mutex_;
  std::condition_variable changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace virmo::vm_controller
