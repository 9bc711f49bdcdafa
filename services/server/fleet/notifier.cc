// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/notifier.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/runtime/logging.h"
#include "services/server/fleet/notification_sender.h"
#include "services/syncml/notification.h"

namespace virmo::server {
namespace {

// Pauses after each sending; when they are used up the device is left to its polling.
constexpr absl::Duration kPauses[] = {absl::Seconds(2), absl::Seconds(5), absl::Seconds(15),
                                      absl::Seconds(60), absl::Seconds(300)};

constexpr absl::Duration kLater = absl::Seconds(5);
constexpr int kSenders = 4;
// After so many in vain the device may have another nonce than we.
constexpr int kTriesWithNonce = 2;

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
      senders_(kSenders),
      thread_([this] { Run(); }) {}

Notifier::~Notifier() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

void Notifier::Remind(const std::string& device, absl::Time due) {
  MutexLock lock(mutex_);
  reminders_[device] = {due, 0, RandomSessionId()};
  changed_.notify_all();
}

void Notifier::Notify(const std::string& device) { Remind(device, absl::Now()); }

void Notifier::NotifyLater(const std::string& device) { Remind(device, absl::Now() + kLater); }

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

void Notifier::Send(const std::string& device, const Reminder& reminder) {
  const auto record = devices_.GetRecord(device);
  if (!record.ok() || record->resource.notification_address().empty()) {
    SessionSeen(device);  // Left to its polling.
    return;
  }
  const std::string& address = record->resource.notification_address();
  const bool resync = reminder.sent >= kTriesWithNonce && reminder.sent % 2 == 0;
  const auto octets = syncml::Encode(
      syncml::Notification{
          .ui_mode = 1, .session_id = reminder.session_id, .server_id = server_id_, .body = ""},
      record->server_secret,
      resync ? syncml::ResyncNonce() : absl::string_view(record->server_nonce));
  const absl::Status sent = octets.ok() ? SendNotification(address, *octets) : octets.status();
  if (!sent.ok()) {
    spdlog::warn("cannot notify device={} error=\"{}\"", device, sent.message());
    return;
  }
  Events events;
  const absl::Status marked =
      queue_.MarkNotified(device, absl::StrCat("package #0 sent to ", address), events);
  if (marked.ok()) feed_.Publish(events);
}

void Notifier::Run() {
  MutexLock lock(mutex_);
  while (!stop_) {
    const absl::Time now = absl::Now();
    absl::Time next = now + absl::Minutes(10);
    for (auto entry = reminders_.begin(); entry != reminders_.end();) {
      Reminder& reminder = entry->second;
      if (reminder.due <= now) {
        senders_.Run(entry->first,
                     [this, device = entry->first, reminder] { Send(device, reminder); });
        if (reminder.sent >= static_cast<int>(std::size(kPauses))) {
          entry = reminders_.erase(entry);
          continue;
        }
        reminder.due = now + kPauses[reminder.sent++];
      }
      next = std::min(next, reminder.due);
      ++entry;
    }
    lock.WaitFor(changed_, next - absl::Now(), [&] {
      return stop_ || std::any_of(reminders_.begin(), reminders_.end(),
                                  [&](const auto& one) { return one.second.due < next; });
    });
  }
}

}  // namespace virmo::server
