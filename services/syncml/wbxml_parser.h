// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"
#include "services/syncml/wbxml_scanner.h"

namespace virmo::syncml {

// An element's tag: its code page and token, or the name of a literal.
struct WbxmlElement {
  int page = 0;
  uint8_t code = 0;             // without the bits for attributes and content
  absl::string_view literal{};  // of the string table; empty for a token
  size_t octet = 0;             // where it is

  bool is_literal() const { return !literal.empty(); }
};

// The element's name; of a tag that no table has, one made of its page and token.
std::string NameOf(const WbxmlElement& element, WbxmlDialect dialect);

// Whether the element is of the DDF/TNDS vocabulary.
bool IsDdf(const WbxmlElement& element, WbxmlDialect dialect);

// Receives a document's elements in order. An error ends the parse and is returned by it.
class WbxmlHandler {
 public:
  virtual ~WbxmlHandler() = default;

  // First, and once. An unknown dialect is most likely SyncML.
  virtual absl::Status OnDialect(WbxmlDialect dialect) = 0;
  virtual absl::Status OnStart(const WbxmlElement& element) = 0;
  // Character data, possibly in several pieces: inline, of the string table, or an entity.
  virtual absl::Status OnText(absl::string_view text) = 0;
  // Opaque data.
  virtual absl::Status OnOctets(absl::string_view octets) = 0;
  virtual absl::Status OnEnd() = 0;
  // Whether text matters here; what does not is not looked up.
  virtual bool wants_text() const = 0;
};

// Parses one WBXML 1.x document within `limits`, without recursion: string table, entities,
// literals and opaque data anywhere; attributes, processing instructions and extensions are passed
// over. Errors as Decode(), naming the octet; what a handler returns gets it as a prefix.
absl::Status ParseWbxml(absl::string_view octets, const Limits& limits, WbxmlHandler& handler);

// The same for the first of several documents in a row. Returns its size.
absl::StatusOr<size_t> ParseFirstWbxml(absl::string_view octets, const Limits& limits,
                                       WbxmlHandler& handler);

// `limits` for a document that may be one of thousands in a message: not more text than documents
// of its size have, or each could name a long string of its table until the limit.
Limits WithinReason(absl::string_view octets, const Limits& limits);

}  // namespace virmo::syncml
