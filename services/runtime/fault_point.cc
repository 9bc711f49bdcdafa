// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/fault_point.h"

#ifdef VIRMO_FAULT_POINTS

#include <signal.h>

#include <atomic>
#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace virmo {

namespace {

struct Fault {
  absl::string_view name;
  int passes = 1;
};

Fault ReadFault() {
  const char* text = std::getenv("VIRMO_FAULT");
  if (text == nullptr) return {};
  const absl::string_view all(text);
  const size_t colon = all.rfind(':');
  Fault fault{.name = all.substr(0, colon)};
  if (colon != absl::string_view::npos && !absl::SimpleAtoi(all.substr(colon + 1), &fault.passes)) {
    return {};
  }
  return fault;
}

}  // namespace

void FaultPoint(const char* name) {
  static const Fault fault = ReadFault();
  static std::atomic<int> passed = 0;
  if (fault.name == name && ++passed >= fault.passes) raise(SIGKILL);
}

}  // namespace virmo

#endif
