// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/peer_name_check.h"

#include <grpc/grpc_security_constants.h>

#include "services/runtime/logging.h"

namespace virmo {

std::string PeerNameCheck::AllowedNameOf(const grpc::AuthContext& context) const {
  for (const grpc::string_ref& name : context.FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME)) {
    const std::string text(name.data(), name.size());
    if (allowed_.contains(text)) return text;
  }
  return "";
}

grpc::Status PeerNameCheck::Process(const InputMetadata& /*metadata*/, grpc::AuthContext* context,
                                    OutputMetadata* /*consumed*/, OutputMetadata* /*response*/) {
  if (context != nullptr && !AllowedNameOf(*context).empty()) return grpc::Status::OK;
  spdlog::warn("refused call: no DNS name in the peer's certificate is in allowed_peers");
  return {grpc::StatusCode::PERMISSION_DENIED,
          "no DNS name in your certificate is in allowed_peers of this listener"};
}

}  // namespace virmo
