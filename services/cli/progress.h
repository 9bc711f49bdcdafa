// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace virmo::cli {

// Shows how far a long work is: on a terminal as a bar that is drawn over itself, elsewhere as a
// line at every tenth of the way, or not at all.
class Progress {
 public:
  enum class Style { kBar, kLines, kNone };

  // `out` must outlive it.
  Progress(std::ostream& out, Style style) : out_(out), style_(style) {}
  ~Progress() { Clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `percent` of the work is done; `detail` follows the bar: `3.1 MiB of 31.4 MiB`.
  void Set(absl::string_view label, int percent, absl::string_view detail);

  // Work of unknown length goes on. On a terminal only.
  void Wait(absl::string_view label);

  // Takes the bar off the screen, so that something else can be written.
  void Clear();

 private:
  void Draw(const std::string& line);

  std::ostream& out_;
  const Style style_;
  std::string drawn_line_;
  size_t drawn_width_ = 0;
  int told_percent_ = -1;
  absl::Time drawn_ = absl::InfinitePast();
};

}  // namespace virmo::cli
