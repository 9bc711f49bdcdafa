// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "services/runtime/mutex.h"
#include "virmo/v1/alert_service.grpc.pb.h"

namespace virmo::policy_engine {

// An alert-emitter for tests: takes alerts, once for each id, and shows them. Thread-safe.
class FakeAlertEmitter : public v1::AlertService::Service {
 public:
  // Serves at `address` too, if it is given.
  explicit FakeAlertEmitter(const std::string& address = "") {
    grpc::ServerBuilder builder;
    if (!address.empty()) builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeAlertEmitter() override { server_->Shutdown(); }

  std::shared_ptr<grpc::Channel> Channel() { return server_->InProcessChannel({}); }

  grpc::Status PublishAlert(grpc::ServerContext* /*context*/,
                            const v1::PublishAlertRequest* request,
                            v1::StoredAlert* response) override {
    MutexLock lock(mutex_);
    if (ids_.emplace(request->alert().alert_id(), alerts_.size()).second) {
      alerts_.push_back(request->alert());
      changed_.notify_all();
    }
    *response->mutable_alert() = request->alert();
    return grpc::Status::OK;
  }

  // All alerts, as soon as there are `count`; what there is after 10 seconds.
  std::vector<v1::Alert> WaitFor(size_t count) {
    MutexLock lock(mutex_);
    lock.WaitFor(changed_, absl::Seconds(10), [&] { return alerts_.size() >= count; });
    return alerts_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::Alert> alerts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, size_t> ids_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace virmo::policy_engine
