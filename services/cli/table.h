// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace virmo::cli {

// Rows in aligned columns, by what they take on a terminal. Cells are made printable.
class Table {
 public:
  explicit Table(std::vector<std::string> header);

  // As many cells as the header has.
  void Add(std::vector<std::string> row);

  // Keeps columns at least as wide as this, for rows that follow later (RowText).
  void SetMinimumWidths(std::vector<size_t> widths);

  // The header and all rows, a line each; the last column is not padded.
  std::string Text() const;
  std::string HeaderText() const;
  std::string RowText(std::vector<std::string> row) const;

 private:
  std::string Line(const std::vector<std::string>& row) const;

  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<size_t> widths_;
};

// `Name:  value` lines of one thing, values aligned. Pairs with an empty value are left out.
std::string PropertiesText(const std::vector<std::pair<std::string, std::string>>& properties);

}  // namespace virmo::cli
