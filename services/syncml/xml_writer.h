// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "services/syncml/element_sink.h"

namespace virmo::syncml {

// How a tag is written, with the namespace where it begins one.
struct XmlMarkup {
  std::string start;
  std::string end;
  std::string empty;
};

// Writes SyncML as XML 1.0 in UTF-8, without white space between elements. The default namespace
// is SYNCML:SYNCML1.2; each child of Meta carries xmlns="syncml:metinf", as the DTD wants it.
class XmlWriter final : public ElementSink {
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
  const XmlMarkup& Of(Tag tag) const { return markup_[static_cast<size_t>(tag)]; }

  const XmlMarkup* const markup_;  // of every tag, for the life of the process
  std::string text_;
};

// Only counts the octets that an XmlWriter would write.
class XmlSizer final : public ElementSink {
 public:
  XmlSizer();

  void Start(Tag tag) override;
  void End(Tag tag) override;
  void Empty(Tag tag) override;
  void Leaf(Tag tag, absl::string_view text) override;
  void OctetLeaf(Tag tag, absl::string_view octets) override;
  bool holds_octets() const override { return false; }

  size_t size() const { return size_; }

 private:
  const XmlMarkup& Of(Tag tag) const { return markup_[static_cast<size_t>(tag)]; }

  const XmlMarkup* const markup_;
  size_t size_ = 0;
};

}  // namespace virmo::syncml
