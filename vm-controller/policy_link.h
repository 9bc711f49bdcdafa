// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "grpcpp/channel.h"
#include "services/runtime/watch_client.h"
#include "virmo/v1/policy_enforcement_service.grpc.pb.h"
#include "vm-controller/controller.h"

namespace virmo::vm_controller {

// Keeps policy-engine's stream of effective policies open, and hands them to the controller.
class PolicyLink {
 public:
  // `controller` must outlive it. `on_reachable` is told when policy-engine comes and goes.
  PolicyLink(std::shared_ptr<grpc::Channel> channel, Controller& controller,
             std::function<void(bool reachable, const std::string& detail)> on_reachable);

 private:
  void OnMessage(const v1::WatchEffectivePoliciesResponse& message);
  void OnBreak(const absl::Status& status);

  Controller& controller_;
  const std::function<void(bool, const std::string&)> on_reachable_;
  const std::unique_ptr<v1::PolicyEnforcementService::Stub> stub_;
  bool connected_ = false;  // Of the client's thread alone.
  WatchClient<v1::WatchEffectivePoliciesResponse> client_;
};

}  // namespace virmo::vm_controller
