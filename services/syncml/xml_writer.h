// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "services/syncml/element_sink.h"

namespace virmo::syncml {

// Writes SyncML as XML 1.0 in UTF-8, without white space between elements. The default namespace
// is SYNCML:SYNCML1.2; each child of Meta carries xmlns="syncml:metinf", as the DTD wants it.
class XmlWriter : public ElementSink {
 public:
  // A document within another has no declaration.
  enum class Declaration : bool { kNo, kYes };
  explicit XmlWriter(Declaration declaration = Declaration::kYes);

  void Start(Tag tag) override;
  void End(Tag tag) override;
  void Empty(Tag tag) override;
  void Leaf(Tag tag, absl::string_view text) override;
  void OctetLeaf(Tag tag, absl::string_view octets) override;
  bool holds_octets() const override { return false; }

  std::string Finish() && { return std::move(text_); }

 private:
  void StartName(Tag tag);

  std::string text_;
};

}  // namespace virmo::syncml
