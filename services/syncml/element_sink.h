// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "services/syncml/tag.h"

namespace virmo::syncml {

// Takes a document's elements in order and writes them in one encoding.
class ElementSink {
 public:
  virtual ~ElementSink() = default;

  virtual void Start(Tag tag) = 0;
  virtual void End(Tag tag) = 0;
  virtual void Empty(Tag tag) = 0;
  // An element with text only. An empty text makes an empty element.
  virtual void Leaf(Tag tag, absl::string_view text) = 0;
  // The same for text that is raw octets. Only called if holds_octets().
  virtual void OctetLeaf(Tag tag, absl::string_view octets) = 0;
  // Whether the encoding has a place for raw octets. Where not, they are written as base64.
  virtual bool holds_octets() const = 0;
};

}  // namespace virmo::syncml
