// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/mutex.h"

namespace virmo::dm_bridge {

// What a Watch stream told, by resource name, while the stream is live. When it is not, there is
// no answer rather than an old one. Thread-safe.
template <typename Resource>
class Snapshot {
 public:
  // `service` is who streams, for error messages.
  explicit Snapshot(std::string service) : service_(std::move(service)) {}

  void Put(const std::string& name, const Resource& resource) {
    MutexLock lock(mutex_);
    (live_ ? current_ : next_)[name] = std::make_shared<const Resource>(resource);
  }

  void Remove(const std::string& name) {
    MutexLock lock(mutex_);
    (live_ ? current_ : next_).erase(name);
  }

  // Everything there is has been told.
  void Synchronize() {
    MutexLock lock(mutex_);
    if (!live_) current_ = std::exchange(next_, {});
    live_ = true;
  }

  // The stream broke: what is known is not live any more.
  void Break() {
    MutexLock lock(mutex_);
    live_ = false;
    current_.clear();
    next_.clear();
  }

  // Null if there is none of that name; UNAVAILABLE (SERVICE_UNAVAILABLE) while not live.
  absl::StatusOr<std::shared_ptr<const Resource>> Get(const std::string& name) const {
    MutexLock lock(mutex_);
    if (!live_) return NotLive();
    const auto found = current_.find(name);
    return found == current_.end() ? nullptr : found->second;
  }

  absl::StatusOr<std::vector<std::shared_ptr<const Resource>>> List() const {
    MutexLock lock(mutex_);
    if (!live_) return NotLive();
    std::vector<std::shared_ptr<const Resource>> all;
    for (const auto& [name, resource] : current_) all.push_back(resource);
    return all;
  }

 private:
  absl::Status NotLive() const {
    return Error(v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE,
                 absl::StrCat(service_, " is not reachable"), {{"service", service_}});
  }

  const std::string service_;
  mutable Mutex mutex_;
  bool live_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::shared_ptr<const Resource>> current_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<const Resource>> next_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo::dm_bridge
