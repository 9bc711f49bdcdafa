// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>

#include "grpcpp/security/auth_metadata_processor.h"

namespace virmo {

// Lets in only calls whose peer's certificate has a DNS name that is allowed. (That the
// certificate is valid, TLS has seen to.) Internal to services/runtime.
class PeerNameCheck : public grpc::AuthMetadataProcessor {
 public:
  explicit PeerNameCheck(std::set<std::string> allowed) : allowed_(std::move(allowed)) {}

  // The first allowed DNS name in the certificate; empty if there is none.
  std::string AllowedNameOf(const grpc::AuthContext& context) const;

  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context,
                       OutputMetadata* consumed, OutputMetadata* response) override;

 private:
  const std::set<std::string> allowed_;
};

}  // namespace virmo
