// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/server/dm/dm_handler.h"
#include "services/server/http/http_message.h"

namespace virmo::server {

// POST /dm: the HTTP binding of OMA DM. HTTP 200 for whatever was processed, DM errors included;
// 400 malformed, 405, 413 beyond a limit, 415 no SyncML, 503 wait. Thread-safe.
class DmEndpoint {
 public:
  explicit DmEndpoint(DmHandler& handler) : handler_(handler) {}

  HttpResponse Handle(const HttpRequest& request);

 private:
  DmHandler& handler_;
};

}  // namespace virmo::server
