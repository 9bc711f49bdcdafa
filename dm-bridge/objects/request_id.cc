// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/request_id.h"

#include <openssl/evp.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/uuid.h"

namespace virmo::dm_bridge {
namespace {

// Never change it: ids of commands under way would change too.
constexpr absl::string_view kNamespace = "9a3f0c2e-4f0b-5d0e-8d7a-2b6f4f6e7c01";

std::string Sha256Hex(const std::string& data) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(data.data(), data.size(), digest, &size, EVP_sha256(), nullptr);
  std::string octets(size, '\0');
  std::copy(digest, digest + size, octets.begin());
  return absl::BytesToHexString(octets);
}

}  // namespace

std::string RequestIdOf(const Call& call) {
  const std::string which = call.correlator.empty()
                                ? absl::StrCat("command\n", call.command_key)
                                : absl::StrCat("correlator\n", call.uri, "\n", call.correlator,
                                               "\n", Sha256Hex(call.value));
  return NameUuid(kNamespace, absl::StrCat(call.server_id, "\n", which));
}

v1::Initiator InitiatorOf(const Call& call) {
  v1::Initiator initiator;
  initiator.set_server_id(call.server_id);
  initiator.set_uri(call.uri);
  initiator.set_correlator(call.correlator);
  return initiator;
}

}  // namespace virmo::dm_bridge
