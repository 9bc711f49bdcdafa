// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// The MAC that a bootstrap document carries in its Content-Type: `; SEC=USERPIN; MAC=HEX`
// (OMA DM Bootstrap 1.2 §5.7.2). RFC 2104 HMAC-SHA1 over the document's octets, unlike the MAC of
// messages. Pure functions, safe from any thread.
namespace virmo::syncml {

enum class BootstrapSecurity : uint8_t { kNetworkId, kUserPin, kUserPinNetworkId };

// "NETWORKID", "USERPIN", "USERPIN_NETWORKID".
absl::string_view Name(BootstrapSecurity security);

// By name, in any case; nothing for others.
std::optional<BootstrapSecurity> ParseBootstrapSecurity(absl::string_view name);

// The key: the network's secret, the PIN, or "PIN:secret".
std::string BootstrapKey(BootstrapSecurity security, absl::string_view network_secret,
                         absl::string_view user_pin);

struct BootstrapProof {
  BootstrapSecurity security = BootstrapSecurity::kNetworkId;
  std::string mac{};  // hex
};

// The two parameters of a Content-Type, in any order, quoted or bare. Nothing if it has neither.
// InvalidArgument if it has one without the other, one twice, or an unknown SEC.
absl::StatusOr<std::optional<BootstrapProof>> ParseBootstrapContentType(
    absl::string_view content_type);

// The parameters, to be put after the media type: "; SEC=…; MAC=…".
std::string FormatBootstrapParameters(BootstrapSecurity security, absl::string_view key,
                                      absl::string_view document);

// Whether `mac`, hex in any case, is that of `document` under `key`. Compares in constant time.
// InvalidArgument if `mac` is not 40 hex digits or the key is empty, Unauthenticated if it does
// not fit.
absl::Status VerifyBootstrapMac(absl::string_view mac, absl::string_view key,
                                absl::string_view document);

}  // namespace virmo::syncml
