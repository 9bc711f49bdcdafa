// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"

namespace virmo::syncml {

// Receives a document's elements in order. An error ends the parse and is returned by it.
class XmlHandler {
 public:
  virtual ~XmlHandler() = default;

  // `name` as written, with prefix. `attributes`: name, value, name, value, ..., nullptr.
  virtual absl::Status OnStart(absl::string_view name, const char* const* attributes) = 0;
  // Character data, entity references and CDATA resolved; possibly in several pieces.
  virtual absl::Status OnText(absl::string_view text) = 0;
  virtual absl::Status OnEnd(absl::string_view name) = 0;

  // Where in the octets the current element begins; to be used within OnStart().
  size_t position() const { return position_; }
  void set_position(size_t octet) { position_ = octet; }

 private:
  size_t position_ = 0;
};

// Parses one XML document within `limits`. Refuses any DOCTYPE, hence any entity but the five.
// Errors as Decode(): InvalidArgument and ResourceExhausted, with line and column; what a handler
// returns gets the position as a prefix. Also fit for TNDS and OpResult. Does no I/O.
absl::Status ParseXml(absl::string_view octets, const Limits& limits, XmlHandler& handler);

// The name without its namespace prefix.
absl::string_view LocalName(absl::string_view name);

}  // namespace virmo::syncml
