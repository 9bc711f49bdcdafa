// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/ovf/findings.h"

namespace virmo::ovf {

// An element of an XML document: namespaces resolved, comments and processing instructions gone.
struct Element {
  struct Attribute {
    std::string ns;  // Empty: none.
    std::string name;
    std::string value;
  };

  std::string ns;
  std::string name;  // Without prefix.
  std::vector<Attribute> attributes;
  std::string text;  // All character data directly within it, in one piece.
  std::vector<Element> children;
  int line = 0;

  // The first child of this name, whatever its namespace; nullptr if none.
  const Element* Child(absl::string_view child_name) const;

  // The text of that child without white space around it; empty if there is none.
  std::string ChildText(absl::string_view child_name) const;

  // The attribute of this name, in any namespace or none; nullptr if it is not there.
  const std::string* Find(absl::string_view attribute_name) const;

  // Its value without white space around it; empty if it is not there.
  std::string Get(absl::string_view attribute_name) const;
};

// Parses a document of at most 8 MiB, 64 levels, 200 000 elements. A DOCTYPE is refused, and with
// it every entity but the five. UTF-8, UTF-16, ISO-8859-1, US-ASCII and windows-1252. On failure
// says in `findings` where and why, and returns false.
bool ParseXml(absl::string_view octets, const std::string& file, Element& root, Findings& findings);

// Writes a document as UTF-8, indented. Namespaces in `prefixes` (uri, prefix; an empty prefix is
// the default one) are declared at the root; others where they occur.
struct Prefix {
  std::string ns;
  std::string prefix;
};
std::string PrintXml(const Element& root, const std::vector<Prefix>& prefixes);

// Whether a text reads as an xs:boolean that is true: `true`, `1`.
bool IsTrue(absl::string_view text);

}  // namespace virmo::ovf
