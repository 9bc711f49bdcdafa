// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tnds_builder.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"
#include "services/syncml/tnds_forest.h"
#include "services/syncml/uri.h"

namespace virmo::syncml {
namespace {

using Element = TndsBuilder::Element;

struct Rule {
  Element parent;
  absl::string_view name;
  Element element;
};

constexpr std::array kRules = {
    Rule{Element::kDocument, "MgmtTree", Element::kMgmtTree},
    Rule{Element::kMgmtTree, "VerDTD", Element::kVerDtd},
    Rule{Element::kMgmtTree, "Man", Element::kMan},
    Rule{Element::kMgmtTree, "Mod", Element::kMod},
    Rule{Element::kMgmtTree, "Node", Element::kNode},
    Rule{Element::kNode, "NodeName", Element::kNodeName},
    Rule{Element::kNode, "Path", Element::kPath},
    Rule{Element::kNode, "RTProperties", Element::kRtProperties},
    Rule{Element::kNode, "Node", Element::kNode},
    Rule{Element::kNode, "Value", Element::kValue},
    Rule{Element::kRtProperties, "ACL", Element::kAcl},
    Rule{Element::kRtProperties, "Format", Element::kFormat},
    Rule{Element::kRtProperties, "Name", Element::kName},
    Rule{Element::kRtProperties, "Size", Element::kSize},
    Rule{Element::kRtProperties, "Title", Element::kTitle},
    Rule{Element::kRtProperties, "TStamp", Element::kTStamp},
    Rule{Element::kRtProperties, "Type", Element::kType},
    Rule{Element::kRtProperties, "VerNo", Element::kVerNo},
    Rule{Element::kType, "MIME", Element::kTypeName},
    Rule{Element::kType, "DDFName", Element::kTypeName},
};

constexpr std::array<absl::string_view, 11> kFormats = {
    "b64", "bin", "bool", "chr", "date", "float", "int", "node", "null", "time", "xml"};

bool HoldsText(Element element) {
  switch (element) {
    case Element::kDocument:
    case Element::kMgmtTree:
    case Element::kNode:
    case Element::kRtProperties:
    case Element::kFormat:
    case Element::kFormatName:
    case Element::kType:
      return false;
    default:
      return true;
  }
}

// NodeName is a segment of a URI, but some write it plain.
absl::StatusOr<std::string> SegmentOf(absl::string_view name) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(name);
  if (trimmed.empty()) return absl::InvalidArgumentError("a Node has an empty NodeName");
  const std::string text =
      absl::StrContains(trimmed, '%') ? std::string(trimmed) : EscapeSegment(trimmed);
  ASSIGN_OR_RETURN(NodeUri uri, ParseNodeUri(text));
  if (uri.segments.size() != 1 || uri.query != NodeUri::Query::kNone) {
    return absl::InvalidArgumentError(absl::StrCat("NodeName ", trimmed, " is no node's name"));
  }
  return std::move(uri.segments.front());
}

absl::StatusOr<std::vector<std::string>> SegmentsOf(absl::string_view path) {
  absl::string_view trimmed = absl::StripAsciiWhitespace(path);
  if (trimmed.empty() || trimmed == "." || trimmed == "./") return std::vector<std::string>();
  absl::ConsumeSuffix(&trimmed, "/");
  ASSIGN_OR_RETURN(NodeUri uri, ParseNodeUri(trimmed));
  if (uri.query != NodeUri::Query::kNone) {
    return absl::InvalidArgumentError(absl::StrCat("Path ", trimmed, " has a query"));
  }
  return std::move(uri.segments);
}

// What is wrong with the node by itself; empty if nothing is.
std::string FaultOf(const TndsNode& node) {
  if (node.value && !node.children.empty()) return " has both a Value and child nodes";
  if (node.format == "node" ? node.value.has_value() : node.format && !node.children.empty()) {
    return absl::StrCat(" has format ", *node.format,
                        node.value ? " and a Value" : " and child nodes");
  }
  return "";
}

absl::Status CheckNode(const TndsNode& node) {
  const std::string fault = FaultOf(node);
  if (!fault.empty()) return absl::InvalidArgumentError(absl::StrCat(node.name, fault));
  for (const TndsNode& child : node.children) {
    const absl::Status status = CheckNode(child);
    if (status.ok()) continue;
    return absl::InvalidArgumentError(absl::StrCat(node.name, "/", status.message()));
  }
  return absl::OkStatus();
}

}  // namespace

bool TndsBuilder::wants_text() const { return skipped_ == 0 && HoldsText(innermost()); }

absl::Status TndsBuilder::Start(absl::string_view name) {
  if (skipped_ > 0) {
    ++skipped_;
    return absl::OkStatus();
  }
  const Element parent = innermost();
  text_.clear();
  text_is_opaque_ = false;
  if (parent == Element::kFormat) {
    if (std::ranges::find(kFormats, name) == kFormats.end()) {
      return absl::InvalidArgumentError(absl::StrCat("unknown Format ", name));
    }
    if (nodes_.back().node.format) return absl::InvalidArgumentError("Format given twice");
    nodes_.back().node.format = std::string(name);
    open_.push_back(Element::kFormatName);
    return absl::OkStatus();
  }
  const auto rule = std::ranges::find_if(kRules, [parent, name](const Rule& candidate) {
    return candidate.parent == parent && candidate.name == name;
  });
  if (rule == kRules.end()) {
    if (parent == Element::kDocument) {
      return absl::InvalidArgumentError(
          absl::StrCat("the outermost element is ", name, ", not MgmtTree"));
    }
    if (HoldsText(parent)) {
      return absl::InvalidArgumentError(
          absl::StrCat("element ", name, " where only text may be; escape it"));
    }
    skipped_ = 1;
    return absl::OkStatus();
  }
  if (rule->element == Element::kNode) nodes_.emplace_back();
  has_root_ = true;
  open_.push_back(rule->element);
  return absl::OkStatus();
}

absl::Status TndsBuilder::Text(absl::string_view text) {
  if (wants_text()) text_.append(text.data(), text.size());
  return absl::OkStatus();
}

absl::Status TndsBuilder::Octets(absl::string_view octets) {
  if (wants_text()) text_is_opaque_ = true;
  return Text(octets);
}

absl::Status TndsBuilder::End() {
  if (skipped_ > 0) {
    --skipped_;
    return absl::OkStatus();
  }
  const Element element = innermost();
  open_.pop_back();
  if (element == Element::kNode) return EndNode();
  if (!HoldsText(element)) return absl::OkStatus();
  if (element != Element::kValue && !IsXmlText(text_)) {
    return absl::InvalidArgumentError("a name or property holds octets that are not text");
  }
  return Assign(element);
}

absl::Status TndsBuilder::AssignOnce(absl::string_view what, std::optional<std::string>& to) {
  if (to) return absl::InvalidArgumentError(absl::StrCat(what, " given twice"));
  to = std::move(text_);
  text_.clear();
  return absl::OkStatus();
}

absl::Status TndsBuilder::Assign(Element element) {
  switch (element) {
    case Element::kVerDtd:
      if (!absl::StartsWith(absl::StripAsciiWhitespace(text_), "1.")) {
        return absl::InvalidArgumentError(absl::StrCat("VerDTD ", text_, " is not 1.2"));
      }
      return AssignOnce("VerDTD", ver_dtd_);
    case Element::kMan:
      return AssignOnce("Man", man_);
    case Element::kMod:
      return AssignOnce("Mod", mod_);
    case Element::kNodeName:
      return AssignOnce("NodeName", nodes_.back().name);
    case Element::kPath:
      return AssignOnce("Path", nodes_.back().path);
    case Element::kAcl:
      return AssignOnce("ACL", nodes_.back().node.acl);
    case Element::kSize:
      return AssignOnce("Size", nodes_.back().node.size);
    case Element::kTitle:
      return AssignOnce("Title", nodes_.back().node.title);
    case Element::kTStamp:
      return AssignOnce("TStamp", nodes_.back().node.tstamp);
    case Element::kTypeName:
      text_ = std::string(absl::StripAsciiWhitespace(text_));
      return AssignOnce("Type", nodes_.back().node.type);
    case Element::kVerNo:
      return AssignOnce("VerNo", nodes_.back().node.ver_no);
    case Element::kValue:
      nodes_.back().value_is_opaque = text_is_opaque_;
      return AssignOnce("Value", nodes_.back().node.value);
    default:
      return absl::OkStatus();  // Name: NodeName says it
  }
}

// Octets where text belongs are refused; base64 gets decoded.
absl::Status TndsBuilder::DecodeValue(Pending& pending) const {
  TndsNode& node = pending.node;
  if (!node.value) return absl::OkStatus();
  const bool is_octets = node.format == "bin" && pending.value_is_opaque;
  if (is_octets) return absl::OkStatus();
  if (node.format != "bin" && node.format != "b64") {
    if (IsXmlText(*node.value)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat(node.name, ": the Value holds octets that are not text"));
  }
  std::string text = *std::move(node.value);
  text.erase(std::remove_if(text.begin(), text.end(),
                            [](unsigned char c) { return absl::ascii_isspace(c); }),
             text.end());
  absl::StatusOr<std::string> octets = Base64Decode(text);
  if (!octets.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(node.name, ": the Value is ", octets.status().message()));
  }
  node.value = *std::move(octets);
  return absl::OkStatus();
}

absl::Status TndsBuilder::EndNode() {
  Pending pending = std::move(nodes_.back());
  nodes_.pop_back();
  if (!pending.name) return absl::InvalidArgumentError("a Node has no NodeName");
  ASSIGN_OR_RETURN(pending.node.name, SegmentOf(*pending.name));
  RETURN_IF_ERROR(DecodeValue(pending));
  if (nodes_.empty()) {
    roots_.push_back(std::move(pending));
    return absl::OkStatus();
  }
  if (pending.path) {
    return absl::InvalidArgumentError(
        absl::StrCat(pending.node.name, " has a Path within another Node"));
  }
  nodes_.back().node.children.push_back(std::move(pending.node));
  return absl::OkStatus();
}

absl::StatusOr<TndsDocument> TndsBuilder::Finish() && {
  if (!has_root_) return absl::InvalidArgumentError("no MgmtTree");
  TndsForest forest(limits_);
  for (Pending& pending : roots_) {
    ASSIGN_OR_RETURN(const std::vector<std::string> path, SegmentsOf(pending.path.value_or("")));
    RETURN_IF_ERROR(forest.Add(path, std::move(pending.node)));
  }
  TndsDocument document = {
      .man = man_.value_or(""), .mod = mod_.value_or(""), .nodes = std::move(forest).Finish()};
  if (document.nodes.empty()) return absl::InvalidArgumentError("MgmtTree has no Node");
  for (const TndsNode& node : document.nodes) RETURN_IF_ERROR(CheckNode(node));
  return document;
}

}  // namespace virmo::syncml
