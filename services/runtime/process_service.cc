// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/process_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/time_util.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"

namespace virmo {

ProcessService::ProcessService(std::string process, std::function<void()> on_change)
    : process_(std::move(process)), start_time_(absl::Now()), on_change_(std::move(on_change)) {}

void ProcessService::SetDegraded(absl::string_view subject, absl::string_view cause) {
  {
    MutexLock lock(mutex_);
    const auto [entry, added] = causes_.try_emplace(std::string(subject), cause);
    if (!added && entry->second == cause) return;
    entry->second = std::string(cause);
  }
  spdlog::warn("degraded subject={} cause=\"{}\"", subject, cause);
  on_change_();
}

void ProcessService::ClearDegraded(absl::string_view subject) {
  {
    MutexLock lock(mutex_);
    if (causes_.erase(std::string(subject)) == 0) return;
  }
  spdlog::info("recovered subject={}", subject);
  on_change_();
}

bool ProcessService::AllWell() const {
  MutexLock lock(mutex_);
  return causes_.empty();
}

grpc::Status ProcessService::GetProcess(grpc::ServerContext* /*context*/,
                                        const v1::GetProcessRequest* /*request*/,
                                        v1::Process* response) {
  Fill(*response);
  return grpc::Status::OK;
}

grpc::Status ProcessService::SetLogLevel(grpc::ServerContext* /*context*/,
                                         const v1::SetLogLevelRequest* request,
                                         v1::Process* response) {
  const absl::Status status = virmo::SetLogLevel(request->level());
  if (!status.ok()) return ToGrpc(status);
  spdlog::info("log level changed level={}", request->level());
  Fill(*response);
  return grpc::Status::OK;
}

void ProcessService::Fill(v1::Process& process) const {
  process.set_process(process_);
  process.set_version(VIRMO_VERSION);
  *process.mutable_start_time() =
      google::protobuf::util::TimeUtil::MillisecondsToTimestamp(absl::ToUnixMillis(start_time_));
  process.set_log_level(LogLevel());
  MutexLock lock(mutex_);
  for (const auto& [subject, cause] : causes_) {
    process.add_degradations(absl::StrCat(subject, ": ", cause));
  }
}

}  // namespace virmo
