// SPDX-License-Identifier: Apache-2.0
#include "services/ovf/vocabulary.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"

namespace virmo::ovf {
namespace {

// What VMware's tools write without saying that it is optional.
constexpr absl::string_view kVmwareIgnorable[] = {"BootOrderSection",
                                                  "StorageSection",
                                                  "StorageGroupSection",
                                                  "IpAssignmentSection",
                                                  "Config",
                                                  "ExtraConfig",
                                                  "CoresPerSocket",
                                                  "IpAllocation",
                                                  "CpuCompatibilitySection",
                                                  "HwSection",
                                                  "EthernetSection",
                                                  "key",
                                                  "value"};

bool IsKnownVendorPart(const Element& element) {
  if (element.ns == kVmware) {
    return std::find(std::begin(kVmwareIgnorable), std::end(kVmwareIgnorable), element.name) !=
           std::end(kVmwareIgnorable);
  }
  return absl::StartsWith(element.ns, "http://www.vmware.com/vcloud/") ||
         (element.ns == "http://www.virtualbox.org/ovf/machine" && element.name == "Machine");
}

}  // namespace

Demand DemandOf(const Element& element) {
  const std::string* required = element.Find("required");
  if (required != nullptr) return IsTrue(*required) ? Demand::kRequired : Demand::kOptional;
  return IsKnownVendorPart(element) ? Demand::kIgnorable : Demand::kRequired;
}

bool IsOvf(const Element& element) { return element.ns == kOvf1 || element.ns == kOvf2; }

}  // namespace virmo::ovf
