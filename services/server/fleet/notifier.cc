// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/notifier.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/logging.h"
#include "services/server/fleet/udp_sender.h"
#include "services/syncml/notification.h"

namespace virmo::server {
namespace {

// Pauses after each sending; when they are used up the device is left to its polling.
constexpr absl::Duration kPauses[] = {absl::Seconds(2), absl::Seconds(5), absl::Seconds(15),
                                      absl::Seconds(60), absl::Seconds(300)};

uint16_t RandomSessionId() {
  std::random_device random;
  return static_cast<uint16_t>(1 + random() % 0xFFFF);
}

}  // namespace

Notifier::Notifier(DeviceRegistry& devices, CommandQueue& queue, EventFeed& feed,
                   std::string server_id)
    : devices_(devices),
      queue_(queue),
      feed_(feed),
      server_id_(std::move(server_id)),
      thread_([this] { Run(); }) {}

Notifier::~Notifier() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Notifier::Notify(const std::string& device) {
  MutexLock lock(mutex_);
  reminders_[device] = {absl::Now(), 0, RandomSessionId()};
  changed_.notify_all();
}

void Notifier::SessionSeen(const std::string& device) {
  MutexLock lock(mutex_);
  reminders_.erase(device);
}

void Notifier::NotifyAll() {
  const auto devices = queue_.DevicesWithUnsent();
  if (!devices.ok()) {
    spdlog::error("cannot list waiting commands error=\"{}\"", devices.status().message());
    return;
  }
  for (const std::string& device : *devices) Notify(device);
}

bool Notifier::Send(const std::string& device, const Reminder& reminder) {
  const auto record = devices_.GetRecord(device);
  if (!record.ok() || record->resource.notification_address().empty()) return false;
  const std::string& address = record->resource.notification_address();
  const auto octets = syncml::Encode(
      syncml::Notification{
          .ui_mode = 1, .session_id = reminder.session_id, .server_id = server_id_, .body = ""},
      record->server_secret, record->server_nonce);
  const absl::Status sent = octets.ok() ? SendDatagram(address, *octets) : octets.status();
  if (!sent.ok()) {
    spdlog::warn("cannot notify device={} error=\"{}\"", device, sent.message());
    return true;
  }
  Events events;
  const absl::Status marked =
      queue_.MarkNotified(device, absl::StrCat("package #0 sent to ", address), events);
  if (marked.ok()) feed_.Publish(events);
  return true;
}

void Notifier::Run() {
  while (true) {
    std::vector<std::pair<std::string, Reminder>> due;
    {
      MutexLock lock(mutex_);
      if (stop_) return;
      const absl::Time now = absl::Now();
      absl::Time next = now + absl::Minutes(10);
      for (const auto& [device, reminder] : reminders_) {
        if (reminder.due <= now) due.emplace_back(device, reminder);
        next = std::min(next, reminder.due);
      }
      if (due.empty()) {
        // A new reminder is due at once, so any wake-up is a reason to look again.
        lock.WaitFor(changed_, next - now, [&] {
          return stop_ || std::any_of(reminders_.begin(), reminders_.end(), [&](const auto& one) {
                   return one.second.due <= absl::Now();
                 });
        });
        continue;
      }
    }
    for (auto& [device, reminder] : due) {
      const bool reachable = Send(device, reminder);
      MutexLock lock(mutex_);
      const auto found = reminders_.find(device);
      // Gone: a session came. Another id: a new command came meanwhile, with its own reminder.
      if (found == reminders_.end() || found->second.session_id != reminder.session_id) continue;
      if (!reachable || reminder.sent >= static_cast<int>(std::size(kPauses))) {
        reminders_.erase(found);
        continue;
      }
      found->second.due = absl::Now() + kPauses[reminder.sent];
      found->second.sent = reminder.sent + 1;
    }
  }
}

}  // namespace virmo::server
