// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"

// TNDS, a part of a management tree as one document (OMA DM TNDS 1.2), as XML and as WBXML. A
// command carries it as Data, and a bootstrap may be one. Pure functions, safe from any thread.
namespace virmo::syncml {

inline constexpr absl::string_view kTndsXmlType = "application/vnd.syncml.dmtnds+xml";
inline constexpr absl::string_view kTndsWbxmlType = "application/vnd.syncml.dmtnds+wbxml";

// Whether a Meta/Type says TNDS, in either encoding.
bool IsTndsType(absl::string_view type);

// One node with all below it. A property that the document does not give is nullopt.
struct TndsNode {
  std::string name{};  // as a segment of a URI: canonically %-escaped, no slash
  // The document only mentions the node in the Path of another: it says nothing about it, and
  // means a node that the target has or gets without properties.
  bool is_implied = false;
  std::optional<std::string> format{};  // chr, int, bool, b64, bin, xml, node, null, date, ...
  std::optional<std::string> type{};    // MIME type of a leaf, MO identifier of an interior node
  std::optional<std::string> acl{};     // "" clears it
  std::optional<std::string> title{};
  std::optional<std::string> tstamp{};
  std::optional<std::string> ver_no{};
  std::optional<std::string> size{};
  std::optional<std::string> value{};  // decoded: raw octets of `bin` and `b64`
  std::vector<TndsNode> children{};

  // An interior node: format `node`, or children, or neither format nor value.
  bool is_interior() const;
  bool operator==(const TndsNode&) const = default;
};

struct TndsDocument {
  std::string man{};
  std::string mod{};
  std::vector<TndsNode> nodes{};  // paths are relative to the command's target

  bool operator==(const TndsDocument&) const = default;
};

// Reads a document; the first octet tells the encoding. Nodes that stand apart with a Path are put
// where they belong, in whatever order they come. Unknown elements are passed over.
//   InvalidArgument    not well-formed, no MgmtTree; a node without or with a bad name, twice, or
//                      with both Value and children; an unknown format; `bin` or `b64` that is no
//                      base64; a property given twice. Names line and column (WBXML: the octet),
//                      or the node's path.
//   ResourceExhausted  a limit was hit; nodes that are only implied count as elements
absl::StatusOr<TndsDocument> ReadTnds(absl::string_view octets, const Limits& limits = {});

// Writes a document in the DTD's order, without white space between elements; nested, but where
// is_implied asks for a Path. In XML `bin` and `b64` are base64; in WBXML `bin` is OPAQUE.
std::string WriteTnds(const TndsDocument& document, Encoding encoding);

}  // namespace virmo::syncml
