// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "services/syncml/generic_alert.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

struct ReadAlert {
  std::string alert_id;
  v1::DeviceAlert alert;
};

// Makes what is stored of a Generic Alert. Lenient: data that is no OpResult is kept as `detail`,
// with result code 0. An alert without a usable AlertID gets one made of its content if that
// names its operation, else of `fallback_key`, which must differ between messages: better stored
// twice than lost.
ReadAlert ReadGenericAlert(const std::string& device, const std::string& fallback_key,
                           const syncml::GenericAlert& received);

}  // namespace virmo::server
