// SPDX-License-Identifier: Apache-2.0
#include "services/cli/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

#include "services/cli/width.h"

namespace virmo::cli {

void Progress::Set(absl::string_view label, int percent, absl::string_view detail) {
  percent = std::clamp(percent, 0, 100);
  if (style_ == Style::kLines) {
    if (percent == 0 || percent == told_percent_) return;
    if (percent < 100 && percent / 10 == told_percent_ / 10) return;
    told_percent_ = percent;
    out_ << absl::StreamFormat("%s %3d %%%s%s\n", label, percent, detail.empty() ? "" : "  ",
                               detail)
         << std::flush;
    return;
  }
  if (style_ == Style::kNone) return;
  // Ten pictures a second are enough, but the last one must be seen.
  const absl::Time now = absl::Now();
  if (percent < 100 && now - drawn_ < absl::Milliseconds(100)) return;
  drawn_ = now;
  constexpr int kCells = 30;
  const int full = percent * kCells / 100;
  Draw(absl::StrFormat("%s [%s%s] %3d %%  %s", label, std::string(full, '#'),
                       std::string(kCells - full, '.'), percent, detail));
}

void Progress::Wait(absl::string_view label) {
  if (style_ == Style::kBar) Draw(std::string(label));
}

void Progress::Clear() {
  if (drawn_width_ == 0) return;
  out_ << "\r" << std::string(drawn_width_, ' ') << "\r" << std::flush;
  drawn_width_ = 0;
  drawn_ = absl::InfinitePast();
}

void Progress::Draw(const std::string& line) {
  if (drawn_width_ > 0 && line == drawn_line_) return;
  drawn_line_ = line;
  const size_t width = DisplayWidth(line);
  out_ << "\r" << line;
  if (width < drawn_width_) out_ << std::string(drawn_width_ - width, ' ');
  out_ << std::flush;
  drawn_width_ = std::max(width, drawn_width_);
}

}  // namespace virmo::cli
