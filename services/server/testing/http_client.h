// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

namespace virmo::server::testing {

struct HttpAnswer {
  long status = 0;                             // 0: no answer
  std::map<std::string, std::string> headers;  // by lower-case name
  std::string body;
};

// One request by libcurl, a client that nobody here wrote.
// `ca_file`: who may have signed an https server's certificate.
HttpAnswer Fetch(const std::string& method, const std::string& url,
                 const std::vector<std::string>& headers = {}, const std::string& body = "",
                 const std::string& ca_file = "");

}  // namespace virmo::server::testing
