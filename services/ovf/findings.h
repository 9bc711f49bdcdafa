// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace virmo::ovf {

// What kind of fault a package has; programs branch on it.
enum class FaultKind {
  kInvalid,      // It breaks the rules of OVF, or its own word.
  kUnsupported,  // Sound, but it demands what is not there: an unknown required part, encryption.
  kUnreadable,   // A file cannot be read.
};

// Where something was found: `file:line: element`. The line is 0 where there is none.
struct Place {
  std::string file;
  int line = 0;
  std::string element;
};

// What was found in a package. Faults refuse it; warnings do not.
class Findings {
 public:
  struct Fault {
    FaultKind kind;
    std::string text;  // `file:line: element: what`, one printable line.
  };

  void AddFault(FaultKind kind, const Place& place, absl::string_view what);
  void AddWarning(const Place& place, absl::string_view what);

  bool ok() const { return faults_.empty(); }
  const std::vector<Fault>& faults() const { return faults_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

  // OK, or the first faults as one error: PACKAGE_INVALID, UNSUPPORTED_ENVIRONMENT or
  // STORAGE_FAILED by the kind of the first.
  absl::Status ToStatus() const;

 private:
  std::vector<Fault> faults_;
  std::vector<std::string> warnings_;
};

// `file:line: element: what` in one line, without control characters.
std::string Line(const Place& place, absl::string_view what);

}  // namespace virmo::ovf
