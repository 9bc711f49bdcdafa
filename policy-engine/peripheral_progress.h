// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "virmo/v1/policy_service.pb.h"

namespace virmo::policy_engine {

// How far the decision about one class of peripherals is in force.
struct PeripheralProgress {
  bool ended = false;    // The controller's word is final.
  absl::Status outcome;  // If ended: OK, or why it will not come true on this host.
  std::string detail;    // In the controller's words.
};
PeripheralProgress PeripheralProgressOf(const v1::PolicyStatus& status,
                                        v1::PeripheralClass peripheral_class);

}  // namespace virmo::policy_engine
