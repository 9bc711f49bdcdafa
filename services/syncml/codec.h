// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/message.h"

namespace virmo::syncml {

enum class Encoding : uint8_t { kXml, kWbxml };

// What a peer may make us hold. Decoded text is bounded by max_bytes as well, so that a string
// table cannot be used to blow a small message up.
struct Limits {
  size_t max_bytes = size_t{1} << 20;
  int max_depth = 32;
  size_t max_elements = 100000;  // with attributes
  size_t max_commands = 10000;   // with items; each takes up to 1 KB of memory, however short it is
};

// Reads one message. Lenient: any order of elements, with or without namespaces and prefixes,
// white space around URIs, ids and codes; unknown elements are skipped, unknown commands kept as
// kUnknown, a missing CmdID as "". Data keeps every character. Format `bin` over XML is reported
// as `b64`: XML holds no raw octets, and that is what peers put there. TNDS that came as WBXML
// (type ...dmtnds+wbxml, not split over messages) is given as XML text with type ...dmtnds+xml;
// what cannot be read as TNDS stays as it came, so that it harms its command alone.
//
// Errors name line and column (WBXML: the octet) and what was wrong:
//   InvalidArgument    not well-formed, a DOCTYPE, no SyncHdr, a part given twice
//   ResourceExhausted  a limit was hit
// Pure; safe from any thread.
absl::StatusOr<Message> Decode(absl::string_view octets, Encoding encoding,
                               const Limits& limits = {});

// Writes one message in the DTD's order. Commands of kind kUnknown are left out: they only ever
// come from a peer. Over XML, data of format `bin` is written as `b64` in base64 (so split a large
// object only after making it base64), and characters that XML cannot hold, or octets that are
// not UTF-8, become U+FFFD: ask IsXmlText() first where that would matter. Over WBXML data with
// format `bin`, or with a NUL, is OPAQUE, everything else an inline string; but a whole TNDS
// document as WriteTnds() wrote it becomes one in WBXML, with type ...dmtnds+wbxml.
std::string Encode(const Message& message, Encoding encoding);

// Octets that `command` takes in an XML message; in WBXML it hardly ever takes more. Cheaper than
// Encode().
size_t XmlSize(const Command& command);

// Whether every character of `text` can be written in XML.
bool IsXmlText(absl::string_view text);

// `text` with U+FFFD for each octet and character that XML cannot hold: also valid UTF-8.
std::string ToXmlText(absl::string_view text);

// Tells WBXML (first octet 01, 02, 03) from XML (anything else), for when Content-Type is wrong.
Encoding Sniff(absl::string_view octets);

// "application/vnd.syncml.dm+xml" or "...+wbxml".
absl::string_view ContentType(Encoding encoding);

// The encoding that a Content-Type header names; parameters and case do not matter. Nothing if it
// is not a SyncML type.
std::optional<Encoding> EncodingOf(absl::string_view content_type);

}  // namespace virmo::syncml
