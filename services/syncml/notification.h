// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Package #0, the notification by which a server asks a device for a session (OMA DM
// Notification 1.2 §6). The digest is over ServerID and secret with the *server's* nonce.
namespace virmo::syncml {

inline constexpr absl::string_view kNotificationContentType = "application/vnd.syncml.notification";

struct Notification {
  int version = 11;              // times ten; 11 is what DM 1.2 devices know. 0..1023
  int ui_mode = 0;               // 0 unspecified, 1 background, 2 informative, 3 ask the user first
  bool server_initiated = true;  // false: a user's action caused it
  uint16_t session_id = 0;       // 1..FFFF
  std::string server_id{};       // 1..255 octets
  std::string body{};            // vendor-specific rest of the trigger

  bool operator==(const Notification&) const = default;
};

// SessionID of the session that answers: upper-case hex without leading zeros.
std::string SessionIdOf(const Notification& notification);

// The octets to send. InvalidArgument if a field does not fit its bits.
absl::StatusOr<std::string> Encode(const Notification& notification, absl::string_view secret,
                                   absl::string_view nonce_octets);

// Reads without checking the digest: to find the server whose secret Verify() needs. Accepts
// versions 11 to 13. InvalidArgument if too short, of an unknown version, or with session 0.
absl::StatusOr<Notification> Decode(absl::string_view octets);

// Checks the digest in constant time. Unauthenticated if it does not fit, InvalidArgument if
// `octets` is no notification.
absl::Status Verify(absl::string_view octets, absl::string_view secret,
                    absl::string_view nonce_octets);

// The nonces of re-synchronisation. The text says 0x00000000, which some read as four zero octets
// and some as ten characters: a client tries both, a server sends the former.
absl::string_view ResyncNonce();
absl::string_view ResyncNonceAscii();

}  // namespace virmo::syncml
