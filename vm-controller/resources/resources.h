// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/runtime/mutex.h"
#include "vm-controller/devices/device_port.h"
#include "vm-controller/machines.h"
#include "vm-controller/policy_part.h"
#include "vm-controller/resources/resource_port.h"

namespace virmo::vm_controller {

// Gives running virtual machines the resources that their policies say: memory by balloon, virtual
// CPUs, CPU weight and cap, block I/O and network rates. Each setting is judged by what the
// hypervisor shows afterwards, and what this host cannot enforce is told with the reason.
// Thread-safe.
class Resources : public PolicyPart {
 public:
  struct Parts {
    Machines& machines;
    ResourcePort& port;
    DevicePort& devices;  // Tells the taps.
  };

  explicit Resources(const Parts& parts) : parts_(parts) {}

  std::vector<v1::AppliedItem> Enforce(const PolicySubject& subject) override;

 private:
  struct Work;

  void Memory(Work& work);
  void Processor(Work& work);
  void CpuCount(Work& work);
  void Storage(Work& work);
  void Network(Work& work);
  absl::Status Shape(Work& work, const v1::NetworkRates& rates);

  const Parts parts_;
  Mutex mutex_;
  // What was put into traffic control for a virtual machine, as it cannot be read back cheaply.
  std::map<std::string, std::string> shaped_ ABSL_GUARDED_BY(mutex_);
  // Numbers of virtual CPUs that could not be reached in this run: id, number.
  std::map<std::string, int64_t> stuck_cpus_ ABSL_GUARDED_BY(mutex_);
  // Since when a balloon is asked for another size.
  std::map<std::string, absl::Time> ballooning_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::vm_controller
