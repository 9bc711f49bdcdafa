// SPDX-License-Identifier: Apache-2.0
#include "services/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

#include "services/cli/width.h"

namespace virmo::cli {
namespace {

std::string Padded(const std::string& text, size_t width) {
  const size_t taken = DisplayWidth(text);
  return taken >= width ? text : text + std::string(width - taken, ' ');
}

std::vector<std::string> PrintableRow(std::vector<std::string> row) {
  for (std::string& cell : row) cell = Printable(cell);
  return row;
}

}  // namespace

Table::Table(std::vector<std::string> header) : header_(std::move(header)) {
  for (const std::string& cell : header_) widths_.push_back(DisplayWidth(cell));
}

void Table::Add(std::vector<std::string> row) {
  row.resize(header_.size());
  rows_.push_back(PrintableRow(std::move(row)));
  for (size_t i = 0; i < header_.size(); ++i) {
    widths_[i] = std::max(widths_[i], DisplayWidth(rows_.back()[i]));
  }
}

void Table::SetMinimumWidths(std::vector<size_t> widths) {
  for (size_t i = 0; i < std::min(widths.size(), widths_.size()); ++i) {
    widths_[i] = std::max(widths_[i], widths[i]);
  }
}

std::string Table::Line(const std::vector<std::string>& row) const {
  size_t used = row.size();
  while (used > 0 && row[used - 1].empty()) --used;
  std::string line;
  for (size_t i = 0; i < used; ++i) {
    absl::StrAppend(&line, i == 0 ? "" : "  ", i + 1 == used ? row[i] : Padded(row[i], widths_[i]));
  }
  return line + "\n";
}

std::string Table::Text() const {
  std::string text = HeaderText();
  for (const std::vector<std::string>& row : rows_) text += Line(row);
  return text;
}

std::string Table::HeaderText() const { return Line(header_); }

std::string Table::RowText(std::vector<std::string> row) const {
  return Line(PrintableRow(std::move(row)));
}

std::string PropertiesText(const std::vector<std::pair<std::string, std::string>>& properties) {
  size_t width = 0;
  for (const auto& [name, value] : properties) {
    if (!value.empty()) width = std::max(width, DisplayWidth(name));
  }
  std::string text;
  for (const auto& [name, value] : properties) {
    if (value.empty()) continue;
    absl::StrAppend(&text, Padded(name + ":", width + 1), "  ", Printable(value), "\n");
  }
  return text;
}

}  // namespace virmo::cli
