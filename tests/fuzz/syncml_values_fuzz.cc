// SPDX-License-Identifier: Apache-2.0
// The smaller things that peers send: package #0, node URIs, x-syncml-hmac, OpResult, base64.
#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "services/syncml/auth.h"
#include "services/syncml/bootstrap_mac.h"
#include "services/syncml/generic_alert.h"
#include "services/syncml/inspect.h"
#include "services/syncml/notification.h"
#include "services/syncml/recording.h"
#include "services/syncml/uri.h"
#include "services/syncml/user_interaction.h"
#include "tests/fuzz/require.h"

namespace virmo::syncml {
namespace {

using fuzz::Require;

void CheckNotification(absl::string_view octets) {
  const auto notification = Decode(octets);
  if (!notification.ok()) return;
  const auto encoded = Encode(*notification, "secret", "nonce");
  Require(encoded.ok(), "what was read can be written");
  Require(Verify(*encoded, "secret", "nonce").ok(), "what was written can be verified");
  const auto again = Decode(*encoded);
  Require(again.ok() && *again == *notification, "a notification is stable");
}

void CheckInteractionOptions(absl::string_view text) {
  const InteractionOptions options = ParseInteractionOptions(text);
  Require(ParseInteractionOptions(FormatInteractionOptions(options)) == options,
          "options of a user interaction are stable");
}

void CheckRecording(absl::string_view octets) {
  Recording recording(octets);
  size_t last = 0;
  while (true) {
    const auto message = recording.Next();
    if (!message.ok() || !message->has_value()) return;
    Require((*message)->offset >= last, "a recording is read forwards");
    last = (*message)->offset;
  }
}

// Whatever can be shown can be turned into what it was shown of.
void CheckInspection(absl::string_view octets) {
  const auto document = Inspect(octets);
  if (!document.ok()) return;
  constexpr Limits kSecondPass = {.max_bytes = size_t{16} << 20};
  Require(Inspect(document->xml, kSecondPass).ok(), "what is shown is a document");
  (void)Convert(octets, Encoding::kWbxml);
}

void CheckBootstrap(absl::string_view text) {
  const auto proof = ParseBootstrapContentType(text);
  if (proof.ok() && proof->has_value()) (void)VerifyBootstrapMac((*proof)->mac, "key", text);
}

void CheckUri(absl::string_view text) {
  const auto uri = ParseNodeUri(text);
  if (!uri.ok()) return;
  const auto again = ParseNodeUri(uri->ToString());
  Require(again.ok() && *again == *uri, "a normalised URI stays as it is");
  for (const std::string& segment : uri->segments) {
    Require(EscapeSegment(UnescapeSegment(segment)) == segment,
            "a segment's escapes are canonical");
  }
}

void CheckHmacHeader(absl::string_view text) {
  const auto header = ParseHmacHeader(text);
  if (!header.ok()) return;
  const auto again = ParseHmacHeader(FormatHmacHeader(*header));
  // A bare value may hold what only a quoted one could carry back, and control characters are
  // never written.
  if (header->mac.find_first_of(" ,\"") != std::string::npos) return;
  const auto is_control = [](unsigned char c) { return absl::ascii_iscntrl(c); };
  const std::string all = header->username + header->mac;
  if (std::any_of(all.begin(), all.end(), is_control)) return;
  Require(again.ok() && again->username == header->username, "a header is stable");
}

void CheckOperationResult(absl::string_view text) {
  const auto result = ParseOperationResult(text);
  if (!result.ok()) return;
  const auto again = ParseOperationResult(FormatOperationResult(*result));
  Require(again.ok() && *again == *result, "an operation's result is stable");
}

void CheckBase64(absl::string_view text) {
  const auto octets = Base64Decode(text);
  if (octets.ok()) Require(Base64Encode(*octets) == text, "base64 has one text for each value");
}

}  // namespace
}  // namespace virmo::syncml

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::syncml;  // NOLINT: the entry point has to be global
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  CheckNotification(octets);
  CheckUri(octets);
  CheckHmacHeader(octets);
  CheckOperationResult(octets);
  CheckBase64(octets);
  CheckBootstrap(octets);
  CheckInspection(octets);
  CheckInteractionOptions(octets);
  CheckRecording(octets);
  (void)ParseBasicCred(octets);
  return 0;
}
