// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

// Text as XML 1.0 wants it.
namespace virmo::syncml {

// Appends `text` as character data: & < > escaped, CR as a character reference (a parser would
// make it LF), octets and characters that XML cannot hold replaced by U+FFFD.
void AppendEscapedXml(absl::string_view text, std::string& to);

// The octets that AppendEscapedXml() would append.
size_t EscapedXmlSize(absl::string_view text);

// AppendEscapedXml() for a value between double quotes.
void AppendEscapedAttribute(absl::string_view text, std::string& to);

// Whether `name` can be an element's name in XML; only ASCII letters, digits and `_ - .` are.
bool IsXmlName(absl::string_view name);

// Appends a character in UTF-8. `code` is at most 10FFFF and no surrogate.
void AppendUtf8(uint32_t code, std::string& to);

}  // namespace virmo::syncml
