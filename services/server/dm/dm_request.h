// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/syncml/codec.h"

namespace virmo::server {

// A message as the transport brought it.
struct DmRequest {
  std::string octets;                                  // the message
  syncml::Encoding encoding = syncml::Encoding::kXml;  // of it, and of the answer
  std::string token = "";   // what RespURI carried; empty in a first message
  std::string hmac = "";    // the header x-syncml-hmac
  std::string entity = "";  // as it travelled, if it was compressed
  bool over_tls = false;
  // Names in the certificate that the device proved to hold, its subject's CN and its alternative
  // names; empty if it proved none.
  std::vector<std::string> certificate_names = {};
};

struct DmAnswer {
  std::string octets;
  std::string hmac;  // for the header x-syncml-hmac; empty: none
};

}  // namespace virmo::server
