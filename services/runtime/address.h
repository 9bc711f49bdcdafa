// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "virmo/config/v1/common.pb.h"

namespace virmo {

// What listeners and channels share: the forms of an address, and TLS files. Internal to
// services/runtime.

// INVALID_ARGUMENT unless it is `unix:/absolute/path` or `HOST:PORT`.
absl::Status CheckAddress(const std::string& address);

bool IsUnixAddress(const std::string& address);

// `/run/x.sock` of `unix:/run/x.sock`.
std::string UnixPath(const std::string& address);

// Whether a HOST:PORT can only be reached from this host.
bool IsLoopbackAddress(const std::string& address);

// INVALID_ARGUMENT naming the first file that is missing, unreadable or not PEM.
absl::Status CheckTls(const config::v1::Tls& tls);

// Reads certificate, key and CA, and again when they change (looks every 10 seconds).
std::shared_ptr<grpc::experimental::CertificateProviderInterface> MakeCertificateProvider(
    const config::v1::Tls& tls);

}  // namespace virmo
