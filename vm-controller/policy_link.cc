// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/policy_link.h"

#include "services/runtime/logging.h"

namespace virmo::vm_controller {

PolicyLink::PolicyLink(std::shared_ptr<grpc::Channel> channel, Controller& controller,
                       std::function<void(bool, const std::string&)> on_reachable)
    : controller_(controller),
      on_reachable_(std::move(on_reachable)),
      stub_(v1::PolicyEnforcementService::NewStub(channel)),
      client_({[this](grpc::ClientContext* context) {
                 return stub_->WatchEffectivePolicies(context, v1::WatchEffectivePoliciesRequest());
               },
               [this](const v1::WatchEffectivePoliciesResponse& message) { OnMessage(message); },
               [this](const absl::Status& status) { OnBreak(status); }}) {}

void PolicyLink::OnMessage(const v1::WatchEffectivePoliciesResponse& message) {
  if (!connected_) {
    connected_ = true;
    spdlog::info("connected service=policy-engine");
    on_reachable_(true, "");
    controller_.OnPolicyEngineConnected();
  }
  if (message.has_changed()) controller_.OnPolicy(message.changed());
  if (message.synchronized()) controller_.OnPoliciesSynchronized();
}

void PolicyLink::OnBreak(const absl::Status& status) {
  connected_ = false;
  on_reachable_(false, std::string(status.message()));
}

}  // namespace virmo::vm_controller
