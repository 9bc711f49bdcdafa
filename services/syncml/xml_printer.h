// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace virmo::syncml {

// Writes XML for people: an element a line, two blanks a level. Within an element that is `exact`
// nothing is added and nothing left out, since its text is somebody's value.
class XmlPrinter {
 public:
  enum class Layout : bool { kIndented, kExact };

  // `attributes` are escaped, each with a blank before it.
  void Start(absl::string_view name, absl::string_view attributes, Layout layout);
  void Text(absl::string_view text);
  void End();

  // The layout of the innermost element.
  Layout layout() const { return open_.empty() ? Layout::kIndented : open_.back().layout; }
  std::string Finish() && { return std::move(out_ += '\n'); }

 private:
  struct Open {
    std::string name;
    Layout layout;
    bool has_child = false;
    std::string text{};
  };

  void NewLine(size_t level);
  void FlushText(Open& open, bool at_end);

  std::vector<Open> open_;
  std::string out_ = R"(<?xml version="1.0" encoding="UTF-8"?>)";
};

}  // namespace virmo::syncml
