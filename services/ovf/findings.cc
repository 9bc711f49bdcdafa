// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/findings.h"

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::ovf {
namespace {

// A hostile package must not fill memory with complaints.
constexpr size_t kMaxFindings = 200;
constexpr size_t kMaxTold = 3;
constexpr size_t kMaxLine = 1000;

v1::ErrorInfo::Reason ReasonOfKind(FaultKind kind) {
  switch (kind) {
    case FaultKind::kUnsupported:
      return v1::ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT;
    case FaultKind::kUnreadable:
      return v1::ErrorInfo::REASON_STORAGE_FAILED;
    default:
      return v1::ErrorInfo::REASON_PACKAGE_INVALID;
  }
}

}  // namespace

std::string Line(const Place& place, absl::string_view what) {
  std::string line = place.file;
  if (place.line > 0) absl::StrAppend(&line, ":", place.line);
  if (!line.empty()) absl::StrAppend(&line, ": ");
  if (!place.element.empty()) absl::StrAppend(&line, place.element, ": ");
  absl::StrAppend(&line, what);
  if (line.size() > kMaxLine) line.resize(kMaxLine);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

void Findings::AddFault(FaultKind kind, const Place& place, absl::string_view what) {
  if (faults_.size() < kMaxFindings) faults_.push_back({kind, Line(place, what)});
}

void Findings::AddWarning(const Place& place, absl::string_view what) {
  if (warnings_.size() < kMaxFindings) warnings_.push_back(Line(place, what));
}

absl::Status Findings::ToStatus() const {
  if (ok()) return absl::OkStatus();
  std::string message = "the package cannot be used: ";
  for (size_t i = 0; i < faults_.size() && i < kMaxTold; ++i) {
    absl::StrAppend(&message, i == 0 ? "" : "; ", faults_[i].text);
  }
  if (faults_.size() > kMaxTold) {
    absl::StrAppend(&message, "; and ", faults_.size() - kMaxTold, " more");
  }
  return Error(ReasonOfKind(faults_.front().kind), message, {{"cause", faults_.front().text}});
}

}  // namespace virmo::ovf
