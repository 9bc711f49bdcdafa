// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <vector>

namespace virmo::server {

// The names in the certificate that the peer proved to hold and that was verified: its subject's CN
// and its DNS and URI alternative names. Empty if it has none. A name with a NUL in it is left out.
std::vector<std::string> CertificateNames(SSL* connection);

}  // namespace virmo::server
