// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"
#include "services/syncml/tag.h"

namespace virmo::syncml {

// A parsed document as a flat tree of known elements, between the two encodings and the message.
// Unknown elements are left out with all they hold, but for unknown commands. The texts live in
// one string and the nodes in one vector: a message costs a handful of allocations.
class Document {
 public:
  struct Node {
    Tag tag = Tag::kUnknown;
    uint32_t first_child = 0;  // index; 0 is none, as the root is nobody's child
    uint32_t next_sibling = 0;
    uint32_t text_begin = 0;  // character data of leaves; the name of an unknown command
    uint32_t text_size = 0;
    uint32_t position = 0;  // octet of the input where it begins
  };

  bool empty() const { return nodes_.empty(); }
  const Node& root() const { return nodes_.front(); }
  const Node* FirstChild(const Node& node) const { return At(node.first_child); }
  const Node* NextSibling(const Node& node) const { return At(node.next_sibling); }
  absl::string_view Text(const Node& node) const {
    return absl::string_view(texts_).substr(node.text_begin, node.text_size);
  }

 private:
  friend class DocumentBuilder;
  const Node* At(uint32_t index) const { return index == 0 ? nullptr : &nodes_[index]; }

  std::vector<Node> nodes_;
  std::string texts_;
};

// Builds a Document from a parser's events, within limits. Character data is kept of leaves only.
// Markup within Data is turned into text: the parser asks in_data() and then sends markup.
// `limits` must outlive it.
class DocumentBuilder {
 public:
  explicit DocumentBuilder(const Limits& limits) : limits_(limits) {}

  // Where in the input the next element begins, to be named in errors about it.
  void SetPosition(size_t octet) { position_ = static_cast<uint32_t>(octet); }
  // `tag` is kUnknown for an element we do not know, of name `name`.
  absl::Status Start(Tag tag, absl::string_view name);
  absl::Status Text(absl::string_view text);
  absl::Status End();

  // Whether the innermost known element is Data, so that an element is markup within it.
  bool in_data() const;
  // Begins an element within Data: name as written, and attributes, escaped, each with a space
  // before it.
  absl::Status StartMarkup(absl::string_view name, absl::string_view attributes);
  // Whether an element within Data is open.
  bool in_markup() const { return !markup_.empty(); }
  // The innermost known element that is open; Data while in markup.
  Tag innermost() const { return open_.empty() ? Tag::kUnknown : open_.back().tag; }
  // Whether character data is kept here, neither inside an unknown element nor between others.
  bool wants_text() const;

  // To be called once, after the document's end.
  Document Finish() && { return std::move(document_); }

 private:
  struct Open {
    Tag tag;
    uint32_t node;
    uint32_t last_child = 0;
  };

  absl::Status CountElement();
  absl::Status CheckText() const;
  void AddNode(Tag tag);
  void CloseMarkupTag();
  absl::Status EndMarkup();

  const Limits& limits_;
  Document document_;
  std::vector<Open> open_;
  std::vector<std::string> markup_;  // open elements within Data
  bool markup_seen_ = false;         // Data's text is markup, so plain text gets escaped
  bool markup_tag_open_ = false;     // "<name" is written, ">" or "/>" is not
  int skipped_depth_ = 0;
  size_t elements_ = 0;
  uint32_t position_ = 0;
};

}  // namespace virmo::syncml
