// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/notification.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"

namespace virmo::syncml {
namespace {

// Offsets in the message; the trigger is what follows the digest.
constexpr size_t kDigestOctets = 16;
constexpr size_t kFixedTriggerOctets = 8;  // up to and with the length of the ServerID
constexpr int kOldestVersion = 11;
constexpr int kNewestVersion = 13;

unsigned OctetAt(absl::string_view text, size_t at) { return static_cast<unsigned char>(text[at]); }

// Raw MD5( hashed_credential ":" nonce ":" B64(MD5(trigger)) ): the MAC formula with the trigger
// as its body.
std::string DigestOf(absl::string_view trigger, absl::string_view server_id,
                     absl::string_view secret, absl::string_view nonce_octets) {
  const auto digest = Base64Decode(MacDigest(server_id, secret, nonce_octets, trigger));
  return digest.value();
}

absl::Status CheckFields(const Notification& n) {
  if (n.version < 0 || n.version > 1023) {
    return absl::InvalidArgumentError(
        absl::StrCat("notification version ", n.version, " does not fit 10 bits"));
  }
  if (n.ui_mode < 0 || n.ui_mode > 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("notification ui-mode ", n.ui_mode, " is not within 0..3"));
  }
  if (n.session_id == 0) return absl::InvalidArgumentError("notification session id is 0");
  if (n.server_id.empty() || n.server_id.size() > 255) {
    return absl::InvalidArgumentError(
        absl::StrCat("notification ServerID has ", n.server_id.size(), " octets, not 1 to 255"));
  }
  return absl::OkStatus();
}

std::string TriggerOf(const Notification& n) {
  const auto version = static_cast<unsigned>(n.version);
  const auto mode = static_cast<unsigned>(n.ui_mode);
  const unsigned first = version << 6 | mode << 4 | (n.server_initiated ? 1U : 0U) << 3;
  std::string trigger;
  trigger.push_back(static_cast<char>(first >> 8));
  trigger.push_back(static_cast<char>(first & 0xFFU));
  trigger.append(3, '\0');  // future use
  trigger.push_back(static_cast<char>(n.session_id >> 8));
  trigger.push_back(static_cast<char>(n.session_id & 0xFF));
  trigger.push_back(static_cast<char>(n.server_id.size()));
  return absl::StrCat(trigger, n.server_id, n.body);
}

}  // namespace

std::string SessionIdOf(const Notification& notification) {
  return absl::AsciiStrToUpper(absl::StrCat(absl::Hex(notification.session_id)));
}

absl::StatusOr<std::string> Encode(const Notification& notification, absl::string_view secret,
                                   absl::string_view nonce_octets) {
  RETURN_IF_ERROR(CheckFields(notification));
  const std::string trigger = TriggerOf(notification);
  return absl::StrCat(DigestOf(trigger, notification.server_id, secret, nonce_octets), trigger);
}

absl::StatusOr<Notification> Decode(absl::string_view octets) {
  if (octets.size() < kDigestOctets + kFixedTriggerOctets) {
    return absl::InvalidArgumentError(
        absl::StrCat("notification of ", octets.size(), " octets is too short"));
  }
  const absl::string_view trigger = octets.substr(kDigestOctets);
  Notification n;
  n.version = static_cast<int>(OctetAt(trigger, 0) << 2 | OctetAt(trigger, 1) >> 6);
  if (n.version < kOldestVersion || n.version > kNewestVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("notification version ", n.version, " is not known"));
  }
  n.ui_mode = static_cast<int>(OctetAt(trigger, 1) >> 4 & 3U);
  n.server_initiated = (OctetAt(trigger, 1) & 8U) != 0;
  n.session_id = static_cast<uint16_t>(OctetAt(trigger, 5) << 8 | OctetAt(trigger, 6));
  const size_t length = OctetAt(trigger, 7);
  if (trigger.size() < kFixedTriggerOctets + length) {
    return absl::InvalidArgumentError(
        absl::StrCat("notification ends within its ServerID of ", length, " octets"));
  }
  n.server_id = std::string(trigger.substr(kFixedTriggerOctets, length));
  n.body = std::string(trigger.substr(kFixedTriggerOctets + length));
  RETURN_IF_ERROR(CheckFields(n));
  return n;
}

absl::Status Verify(absl::string_view octets, absl::string_view secret,
                    absl::string_view nonce_octets) {
  ASSIGN_OR_RETURN(const Notification n, Decode(octets));
  const std::string digest =
      DigestOf(octets.substr(kDigestOctets), n.server_id, secret, nonce_octets);
  if (!ConstantTimeEquals(digest, octets.substr(0, kDigestOctets))) {
    return absl::UnauthenticatedError(
        absl::StrCat("notification of ", n.server_id, ": digest does not fit"));
  }
  return absl::OkStatus();
}

absl::string_view ResyncNonce() { return absl::string_view("\0\0\0\0", 4); }
absl::string_view ResyncNonceAscii() { return "0x00000000"; }

}  // namespace virmo::syncml
