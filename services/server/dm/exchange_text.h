// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "services/syncml/message.h"

namespace virmo::server {

// One command (or Status, Results) as SyncML XML for people to read, with credentials, nonces and
// the data of secret nodes replaced by `***`.
std::string ExchangeText(syncml::Command command);

}  // namespace virmo::server
