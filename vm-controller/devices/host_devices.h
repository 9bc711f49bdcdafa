// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "services/runtime/broadcast.h"
#include "services/runtime/mutex.h"
#include "vm-controller/devices/host_scan.h"

namespace virmo::vm_controller {

// The host's devices as they come and go: the kernel tells of USB, the file system of what the map
// names; a look once a second, only if there is a map, catches the rest. Thread-safe.
class HostDevices {
 public:
  struct Options {
    config::v1::DeviceMap map;
    std::string sysfs = "/sys";
  };
  using Event = v1::WatchHostDevicesResponse;

  // Looks once.
  explicit HostDevices(Options options);
  ~HostDevices();
  HostDevices(const HostDevices&) = delete;
  HostDevices& operator=(const HostDevices&) = delete;

  // Keeps looking, on a thread of its own, until Stop. `on_changed` is called from it after a
  // device came, went or was plugged anew.
  void Start(std::function<void()> on_changed);
  void Stop();

  // All, ordered by name.
  std::vector<HostDeviceRecord> List();
  std::optional<HostDeviceRecord> Find(const std::string& id);

  // Subscribes, and reads every device, with no change in between.
  std::vector<v1::HostDevice> Watch(std::unique_ptr<Broadcast<Event>::Subscription>* subscription);

  // Which virtual machines (names) have a device now.
  void SetAttached(const std::string& id, const std::set<std::string>& virtual_machines);

  // Looks now.
  void Scan();

  // Ends every subscription, for shutdown.
  void Close() { events_.Close(); }

 private:
  void Run();
  void WatchFolders(int inotify);
  void Publish(const v1::HostDevice& device);

  const Options options_;
  std::function<void()> on_changed_;  // Set before the thread starts.
  Broadcast<Event> events_;
  Mutex scan_mutex_;  // One scan at a time; taken before mutex_.
  Mutex mutex_;
  std::map<std::string, HostDeviceRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::set<std::string>> attached_ ABSL_GUARDED_BY(mutex_);
  int wake_ = -1;  // An eventfd that ends the thread.
  std::thread thread_;
};

}  // namespace virmo::vm_controller
