// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// DDF, the description of what nodes a device has and what can be done with them (OMA DM TND 1.2
// §8, dm_ddf-v1_2.dtd). Pure functions, safe from any thread.
namespace virmo::syncml {

// AccessType: what a node can do at all.
struct DdfAccess {
  bool add = false;
  bool copy = false;
  bool remove = false;  // Delete
  bool exec = false;
  bool get = false;
  bool replace = false;
};

enum class DdfOccurrence : uint8_t {
  kOne,
  kZeroOrOne,
  kZeroOrMore,
  kOneOrMore,
  kZeroOrN,  // N is DdfNode::max_occurrence
  kOneOrN,
};

enum class DdfScope : uint8_t { kPermanent, kDynamic };

// A kind of node with all below it.
struct DdfNode {
  std::string name{};  // a segment of a URI; empty: given when the node is made
  std::string path{};  // URI of the parent; of the outermost nodes only, empty for the root
  DdfAccess access{};
  std::optional<std::string> default_value{};
  std::string description{};
  std::string format = "node";  // b64, bin, bool, chr, int, node, null, xml, date, time, float
  DdfOccurrence occurrence = DdfOccurrence::kOne;
  int max_occurrence = 1;
  DdfScope scope = DdfScope::kDynamic;
  std::string title{};
  std::vector<std::string> mime_types{};  // of a leaf
  std::string ddf_name{};                 // MO identifier; of an interior node, may be empty
  std::vector<DdfNode> children{};
};

struct DdfDocument {
  std::string man{};
  std::string mod{};
  std::vector<DdfNode> nodes{};
};

// Writes the description as XML in the DTD's order, with a declaration and without a DOCTYPE,
// indented by `indent` blanks a level; 0 writes it in one line.
std::string WriteDdf(const DdfDocument& document, int indent = 1);

}  // namespace virmo::syncml
