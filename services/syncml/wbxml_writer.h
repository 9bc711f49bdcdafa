// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "services/syncml/element_sink.h"
#include "services/syncml/wbxml_scanner.h"

namespace virmo::syncml {

// Writes SyncML 1.2 as WBXML 1.3: public id 0x1201, UTF-8, text as inline strings, raw octets and
// text with a NUL as OPAQUE. Names that stand there often (types, formats, commands) go to the
// string table, but only if that is worth it: small messages have none, and anybody reads them. A
// DDF or TNDS document has no number: its public id begins the string table.
class WbxmlWriter final : public ElementSink {
 public:
  explicit WbxmlWriter(WbxmlDialect dialect = WbxmlDialect::kSyncMl);

  void Start(Tag tag) override;
  void End(Tag tag) override;
  void Empty(Tag tag) override;
  void Leaf(Tag tag, absl::string_view text) override;
  void OctetLeaf(Tag tag, absl::string_view octets) override;
  bool holds_octets() const override { return true; }

  std::string Finish() &&;

 private:
  void Put(uint8_t octet) { octets_.push_back(static_cast<char>(octet)); }
  void PutNumber(uint32_t number);
  void PutTag(Tag tag, bool has_content);

  // A text that may go to the string table, and where in octets_ its STR_Is are.
  struct Shared {
    std::string text;
    std::vector<size_t> uses;
    size_t index = 0;  // in the table
  };

  void NoteUse(absl::string_view text);
  std::vector<Shared> WorthSharing();
  void PutHeader(absl::string_view table);

  const WbxmlDialect dialect_;
  std::string octets_;  // the body, all texts inline
  std::vector<Shared> shared_;
  int page_ = 0;
};

}  // namespace virmo::syncml
