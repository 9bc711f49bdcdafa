// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "services/syncml/element_sink.h"
#include "services/syncml/wbxml_scanner.h"

namespace virmo::syncml {

// Writes SyncML 1.2 as WBXML 1.3: public id 0x1201, UTF-8, no string table, text as inline
// strings, raw octets and text with a NUL as OPAQUE. Simple peers read no more than that. A DDF or
// TNDS document has no number: its public id is the string table.
class WbxmlWriter : public ElementSink {
 public:
  explicit WbxmlWriter(WbxmlDialect dialect = WbxmlDialect::kSyncMl);

  void Start(Tag tag) override;
  void End(Tag tag) override;
  void Empty(Tag tag) override;
  void Leaf(Tag tag, absl::string_view text) override;
  void OctetLeaf(Tag tag, absl::string_view octets) override;
  bool holds_octets() const override { return true; }

  std::string Finish() && { return std::move(octets_); }

 private:
  void Put(uint8_t octet) { octets_.push_back(static_cast<char>(octet)); }
  void PutNumber(uint32_t number);
  void PutTag(Tag tag, bool has_content);

  std::string octets_;
  int page_ = 0;
};

}  // namespace virmo::syncml
