// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "virmo/v1/policy_enforcement_service.pb.h"

namespace virmo::vm_controller {

// What policy-engine is to us. Every call is bounded in time; UNAVAILABLE (SERVICE_UNAVAILABLE)
// when it cannot be reached. Thread-safe.
class PolicyEngine {
 public:
  virtual ~PolicyEngine() = default;
  virtual absl::StatusOr<v1::AdmitResponse> Admit(const v1::AdmitRequest& request) = 0;
  virtual absl::StatusOr<v1::ReportAppliedResponse> ReportApplied(
      const v1::ReportAppliedRequest& request) = 0;
  virtual absl::StatusOr<v1::ReportInventoryResponse> ReportInventory(
      const v1::ReportInventoryRequest& request) = 0;
};

}  // namespace virmo::vm_controller
