// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "grpcpp/server_builder.h"
#include "services/runtime/broadcast.h"
#include "services/runtime/error.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"
#include "vm-controller/fake_policy_engine.h"

namespace virmo::vm_controller {

// Serves a FakePolicyEngine, and its decisions as a stream.
class PolicyServerFixture : public v1::PolicyEnforcementService::Service {
 public:
  explicit PolicyServerFixture(const std::string& address) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~PolicyServerFixture() override {
    changes_.Close();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  void SetLock(const std::string& id, bool locked) { changes_.Publish(engine.SetLock(id, locked)); }

  grpc::Status Admit(grpc::ServerContext*, const v1::AdmitRequest* request,
                     v1::AdmitResponse* response) override {
    return Answer(engine.Admit(*request), response);
  }
  grpc::Status ReportApplied(grpc::ServerContext*, const v1::ReportAppliedRequest* request,
                             v1::ReportAppliedResponse* response) override {
    return Answer(engine.ReportApplied(*request), response);
  }
  grpc::Status ReportInventory(grpc::ServerContext*, const v1::ReportInventoryRequest* request,
                               v1::ReportInventoryResponse* response) override {
    return Answer(engine.ReportInventory(*request), response);
  }
  grpc::Status WatchEffectivePolicies(
      grpc::ServerContext* context, const v1::WatchEffectivePoliciesRequest*,
      grpc::ServerWriter<v1::WatchEffectivePoliciesResponse>* writer) override {
    Broadcast<v1::EffectivePolicy>::Subscription changes(changes_);
    v1::WatchEffectivePoliciesResponse first;
    first.set_synchronized(true);
    writer->Write(first);
    while (!context->IsCancelled()) {
      v1::WatchEffectivePoliciesResponse message;
      const auto state = changes.Next(absl::Seconds(1), message.mutable_changed());
      if (state == decltype(changes)::State::kClosed) break;
      if (state == decltype(changes)::State::kTimeout) message.Clear();
      if (!writer->Write(message)) break;
    }
    return grpc::Status::OK;
  }

  FakePolicyEngine engine;

 private:
  template <typename Result, typename Response>
  static grpc::Status Answer(const absl::StatusOr<Result>& result, Response* response) {
    if (!result.ok()) return ToGrpc(result.status());
    *response = *result;
    return grpc::Status::OK;
  }

  Broadcast<v1::EffectivePolicy> changes_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace virmo::vm_controller
