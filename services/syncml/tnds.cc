// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tnds.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"
#include "services/syncml/tnds_builder.h"
#include "services/syncml/wbxml_parser.h"
#include "services/syncml/wbxml_writer.h"
#include "services/syncml/xml_parser.h"
#include "services/syncml/xml_writer.h"

namespace virmo::syncml {
namespace {

class XmlReader : public XmlHandler {
 public:
  explicit XmlReader(const Limits& limits) : builder_(limits) {}

  absl::Status OnStart(absl::string_view name, const char* const*) override {
    return builder_.Start(LocalName(name));
  }
  absl::Status OnText(absl::string_view text) override { return builder_.Text(text); }
  absl::Status OnEnd(absl::string_view) override { return builder_.End(); }

  absl::StatusOr<TndsDocument> Finish() && { return std::move(builder_).Finish(); }

 private:
  TndsBuilder builder_;
};

class WbxmlReader : public WbxmlHandler {
 public:
  explicit WbxmlReader(const Limits& limits) : builder_(limits) {}

  absl::Status OnDialect(WbxmlDialect dialect) override {
    // Some say nothing at all of what it is, hence also "unknown".
    dialect_ = dialect == WbxmlDialect::kSyncMl ? dialect : WbxmlDialect::kDdf;
    return absl::OkStatus();
  }
  absl::Status OnStart(const WbxmlElement& element) override {
    return builder_.Start(NameOf(element, dialect_));
  }
  absl::Status OnText(absl::string_view text) override { return builder_.Text(text); }
  absl::Status OnOctets(absl::string_view octets) override { return builder_.Octets(octets); }
  absl::Status OnEnd() override { return builder_.End(); }
  bool wants_text() const override { return builder_.wants_text(); }

  absl::StatusOr<TndsDocument> Finish() && { return std::move(builder_).Finish(); }

 private:
  TndsBuilder builder_;
  WbxmlDialect dialect_ = WbxmlDialect::kDdf;
};

class Writer {
 public:
  explicit Writer(ElementSink& sink) : sink_(sink) {}

  void Write(const TndsDocument& document) {
    sink_.Start(Tag::kDdfMgmtTree);
    sink_.Leaf(Tag::kDdfVerDTD, "1.2");
    if (!document.man.empty()) sink_.Leaf(Tag::kDdfMan, document.man);
    if (!document.mod.empty()) sink_.Leaf(Tag::kDdfMod, document.mod);
    for (const TndsNode& node : document.nodes) WriteRoot(node, "");
    sink_.End(Tag::kDdfMgmtTree);
  }

 private:
  // What is below an implied node stands apart, with a Path.
  void WriteRoot(const TndsNode& node, const std::string& path) {
    if (!node.is_implied) WriteNode(node, path);
    const std::string own_path = path.empty() ? node.name : absl::StrCat(path, "/", node.name);
    for (const TndsNode& child : node.children) {
      if (node.is_implied) {
        WriteRoot(child, own_path);
      } else {
        WriteImplied(child, own_path);
      }
    }
  }

  // Implied nodes further down within a node that was written nested.
  void WriteImplied(const TndsNode& node, const std::string& path) {
    if (node.is_implied) {
      WriteRoot(node, path);
      return;
    }
    for (const TndsNode& child : node.children) {
      WriteImplied(child, absl::StrCat(path, "/", node.name));
    }
  }

  void WriteNode(const TndsNode& node, const std::string& path) {
    sink_.Start(Tag::kDdfNode);
    sink_.Leaf(Tag::kDdfNodeName, node.name);
    if (!path.empty()) sink_.Leaf(Tag::kDdfPath, path);
    WriteProperties(node);
    for (const TndsNode& child : node.children) {
      if (!child.is_implied) WriteNode(child, "");
    }
    if (node.value) WriteValue(node);
    sink_.End(Tag::kDdfNode);
  }

  void WriteProperties(const TndsNode& node) {
    const Tag format = node.format ? DdfTagOf(*node.format) : Tag::kUnknown;
    if (!node.format && !node.type && !node.acl && !node.title && !node.tstamp && !node.ver_no &&
        !node.size) {
      return;
    }
    sink_.Start(Tag::kDdfRTProperties);
    WriteOptional(Tag::kDdfACL, node.acl);
    if (format != Tag::kUnknown) {
      sink_.Start(Tag::kDdfFormat);
      sink_.Empty(format);
      sink_.End(Tag::kDdfFormat);
    }
    WriteOptional(Tag::kDdfSize, node.size);
    WriteOptional(Tag::kDdfTitle, node.title);
    WriteOptional(Tag::kDdfTStamp, node.tstamp);
    if (node.type) {
      sink_.Start(Tag::kDdfType);
      sink_.Leaf(node.is_interior() ? Tag::kDdfDDFName : Tag::kDdfMIME, *node.type);
      sink_.End(Tag::kDdfType);
    }
    WriteOptional(Tag::kDdfVerNo, node.ver_no);
    sink_.End(Tag::kDdfRTProperties);
  }

  void WriteOptional(Tag tag, const std::optional<std::string>& text) {
    if (text) sink_.Leaf(tag, *text);
  }

  void WriteValue(const TndsNode& node) {
    if (node.format == "bin" && sink_.holds_octets()) {
      sink_.OctetLeaf(Tag::kDdfValue, *node.value);
    } else if (node.format == "bin" || node.format == "b64") {
      sink_.Leaf(Tag::kDdfValue, Base64Encode(*node.value));
    } else {
      sink_.Leaf(Tag::kDdfValue, *node.value);
    }
  }

  ElementSink& sink_;
};

}  // namespace

bool IsTndsType(absl::string_view type) {
  type = absl::StripAsciiWhitespace(type.substr(0, type.find(';')));
  return absl::EqualsIgnoreCase(type, kTndsXmlType) || absl::EqualsIgnoreCase(type, kTndsWbxmlType);
}

bool TndsNode::is_interior() const {
  return format == "node" || !children.empty() || (!format && !value);
}

absl::StatusOr<TndsDocument> ReadTnds(absl::string_view octets, const Limits& limits) {
  if (Sniff(octets) == Encoding::kXml) {
    XmlReader reader(limits);
    RETURN_IF_ERROR(ParseXml(octets, limits, reader));
    return std::move(reader).Finish();
  }
  const Limits bounded = WithinReason(octets, limits);
  WbxmlReader reader(bounded);
  RETURN_IF_ERROR(ParseWbxml(octets, bounded, reader));
  return std::move(reader).Finish();
}

std::string WriteTnds(const TndsDocument& document, Encoding encoding) {
  if (encoding == Encoding::kXml) {
    XmlWriter sink(XmlWriter::Declaration::kNo);
    Writer(sink).Write(document);
    return std::move(sink).Finish();
  }
  WbxmlWriter sink(WbxmlDialect::kDdf);
  Writer(sink).Write(document);
  return std::move(sink).Finish();
}

}  // namespace virmo::syncml
