// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/runtime/mutex.h"
#include "virmo/v1/process_service.grpc.pb.h"

namespace virmo {

// What a process is and what is wrong with it. Thread-safe. Internal to services/runtime.
class ProcessService : public v1::ProcessService::Service {
 public:
  // `on_change` is called after each change, without a lock held.
  ProcessService(std::string process, std::function<void()> on_change);

  void SetDegraded(absl::string_view subject, absl::string_view cause);
  void ClearDegraded(absl::string_view subject);
  bool AllWell() const;

  grpc::Status GetProcess(grpc::ServerContext* context, const v1::GetProcessRequest* request,
                          v1::Process* response) override;
  grpc::Status SetLogLevel(grpc::ServerContext* context, const v1::SetLogLevelRequest* request,
                           v1::Process* response) override;

 private:
  void Fill(v1::Process& process) const;

  const std::string process_;
  const absl::Time start_time_;
  const std::function<void()> on_change_;
  mutable Mutex mutex_;
  std::map<std::string, std::string> causes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace virmo
