// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/syncml/tnds.h"

namespace virmo::syncml {

// Builds a TndsDocument from a parser's events. Errors have no position.
class TndsBuilder {
 public:
  explicit TndsBuilder(const Limits& limits) : limits_(limits) {}

  absl::Status Start(absl::string_view name);
  absl::Status Text(absl::string_view text);
  absl::Status Octets(absl::string_view octets);  // opaque data
  absl::Status End();

  // Whether the innermost element is one whose text is kept.
  bool wants_text() const;

  // After the document's end: puts nodes with a Path in their places.
  absl::StatusOr<TndsDocument> Finish() &&;

  enum class Element : uint8_t {
    kDocument,
    kMgmtTree,
    kVerDtd,
    kMan,
    kMod,
    kNode,
    kNodeName,
    kPath,
    kRtProperties,
    kAcl,
    kFormat,
    kFormatName,
    kName,
    kSize,
    kTitle,
    kTStamp,
    kType,
    kTypeName,
    kVerNo,
    kValue,
  };

 private:
  // A node while it is open, or until its place is found.
  struct Pending {
    TndsNode node{};
    std::optional<std::string> name{};
    std::optional<std::string> path{};
    bool value_is_opaque = false;
  };

  Element innermost() const { return open_.empty() ? Element::kDocument : open_.back(); }
  absl::Status Assign(Element element);
  absl::Status AssignOnce(absl::string_view what, std::optional<std::string>& to);
  absl::Status EndNode();
  absl::Status DecodeValue(Pending& pending) const;

  const Limits& limits_;
  std::vector<Element> open_;
  int skipped_ = 0;  // depth within an element that is passed over
  std::string text_;
  bool text_is_opaque_ = false;
  bool has_root_ = false;
  std::optional<std::string> ver_dtd_;
  std::optional<std::string> man_;
  std::optional<std::string> mod_;
  std::vector<Pending> nodes_;  // open ones
  std::vector<Pending> roots_;  // children of MgmtTree
};

}  // namespace virmo::syncml
