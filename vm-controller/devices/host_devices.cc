// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/devices/host_devices.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <filesystem>

namespace virmo::vm_controller {
namespace {

constexpr int kLookEveryMs = 1000;
constexpr int kSettleMs = 5;  // One plugging makes many events.

// The kernel's own messages about devices (group 1), which need no udev.
int OpenUevents() {
  const int fd =
      socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  sockaddr_nl address = {};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;
  if (fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

void Drain(int fd) {
  std::array<char, 16384> buffer;
  while (fd >= 0 && read(fd, buffer.data(), buffer.size()) > 0) continue;
}

}  // namespace

HostDevices::HostDevices(Options options)
    : options_(std::move(options)), wake_(eventfd(0, EFD_CLOEXEC)) {
  Scan();
}

HostDevices::~HostDevices() {
  Stop();
  close(wake_);
}

void HostDevices::Start(std::function<void()> on_changed) {
  on_changed_ = std::move(on_changed);
  thread_ = std::thread([this] { Run(); });
}

void HostDevices::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_, 1);
  thread_.join();
}

void HostDevices::WatchFolders(int inotify) {
  for (const config::v1::DeviceMap::Entry& entry : options_.map.entries()) {
    if (entry.path().empty() || entry.path()[0] != '/') continue;
    const std::string folder = std::filesystem::path(entry.path()).parent_path().string();
    // Repeated for the folders that were missing; a folder that is watched already stays so.
    inotify_add_watch(inotify, folder.c_str(), IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
  }
}

void HostDevices::Run() {
  const int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  const int uevents = OpenUevents();
  const bool has_map = !options_.map.entries().empty();
  while (true) {
    WatchFolders(inotify);
    pollfd fds[3] = {{wake_, POLLIN, 0}, {inotify, POLLIN, 0}, {uevents, POLLIN, 0}};
    const int ready = poll(fds, 3, has_map ? kLookEveryMs : -1);
    if (fds[0].revents != 0) break;
    if (ready > 0 && poll(fds, 1, kSettleMs) > 0) break;
    Drain(inotify);
    Drain(uevents);
    Scan();
  }
  close(inotify);
  if (uevents >= 0) close(uevents);
}

void HostDevices::Scan() {
  bool changed = false;
  {
    MutexLock scanning(scan_mutex_);
    std::map<std::string, HostDeviceRecord> found;
    for (HostDeviceRecord& record : ScanHost(options_.sysfs, options_.map)) {
      found.emplace(HostDeviceId(record.device), std::move(record));
    }
    MutexLock lock(mutex_);
    for (auto& [id, record] : found) {
      for (const std::string& name : attached_[id]) record.device.add_attached_to(name);
      const auto known = records_.find(id);
      if (known != records_.end() && known->second.generation == record.generation &&
          known->second.device.SerializeAsString() == record.device.SerializeAsString()) {
        continue;
      }
      changed = true;
      Publish(record.device);
    }
    for (const auto& [id, record] : records_) {
      if (found.count(id) > 0) continue;
      changed = true;
      Event event;
      event.set_removed(record.device.name());
      events_.Publish(event);
    }
    records_ = std::move(found);
  }
  if (changed && on_changed_) on_changed_();
}

void HostDevices::Publish(const v1::HostDevice& device) {
  Event event;
  *event.mutable_changed() = device;
  events_.Publish(event);
}

std::vector<HostDeviceRecord> HostDevices::List() {
  MutexLock lock(mutex_);
  std::vector<HostDeviceRecord> records;
  for (const auto& [id, record] : records_) records.push_back(record);
  return records;
}

std::optional<HostDeviceRecord> HostDevices::Find(const std::string& id) {
  MutexLock lock(mutex_);
  const auto found = records_.find(id);
  if (found == records_.end()) return std::nullopt;
  return found->second;
}

std::vector<v1::HostDevice> HostDevices::Watch(
    std::unique_ptr<Broadcast<Event>::Subscription>* subscription) {
  MutexLock lock(mutex_);
  *subscription = std::make_unique<Broadcast<Event>::Subscription>(events_);
  std::vector<v1::HostDevice> devices;
  for (const auto& [id, record] : records_) devices.push_back(record.device);
  return devices;
}

void HostDevices::SetAttached(const std::string& id,
                              const std::set<std::string>& virtual_machines) {
  MutexLock lock(mutex_);
  if (attached_[id] == virtual_machines) return;
  attached_[id] = virtual_machines;
  const auto found = records_.find(id);
  if (found == records_.end()) return;
  v1::HostDevice& device = found->second.device;
  device.clear_attached_to();
  for (const std::string& name : virtual_machines) device.add_attached_to(name);
  Publish(device);
}

}  // namespace virmo::vm_controller
