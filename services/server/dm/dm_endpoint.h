// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/server/dm/dm_handler.h"
#include "services/server/http/http_message.h"

namespace virmo::server {

// POST /dm: the HTTP binding of OMA DM. HTTP 200 for whatever was processed, DM errors included;
// 400 malformed, 405, 413 beyond a limit, 415 no SyncML or an unknown coding, 503 wait. Bodies may
// be gzip or deflate. Thread-safe.
class DmEndpoint {
 public:
  // `handler` outlives this. No message may be larger than `max_message_bytes`, unpacked.
  DmEndpoint(DmHandler& handler, size_t max_message_bytes)
      : handler_(handler), max_message_bytes_(max_message_bytes) {}

  HttpResponse Handle(const HttpRequest& request);

 private:
  DmHandler& handler_;
  const size_t max_message_bytes_;
};

}  // namespace virmo::server
