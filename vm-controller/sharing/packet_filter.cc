// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/sharing/packet_filter.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/runtime/error.h"
#include "vm-controller/image/limited_process.h"
#include "vm-controller/tap_name.h"

namespace virmo::vm_controller {
namespace {

constexpr char kNft[] = "/usr/sbin/nft";

std::string Set(const char* name, const TapFlows& pairs) {
  std::vector<std::string> elements;
  for (const auto& [from, to] : pairs) {
    elements.push_back(absl::StrCat("\"", from, "\" . \"", to, "\""));
  }
  return absl::StrCat(
      "set ", name, " { type ifname . ifname; ",
      elements.empty() ? "" : absl::StrCat("elements = { ", absl::StrJoin(elements, ", "), " }"),
      "; }\n");
}

}  // namespace

std::string PacketFilterRules(const TapFlows& flows) {
  TapFlows pairs = flows;
  for (const auto& [from, to] : flows) pairs.insert({to, from});
  // Made, removed and made again in one transaction: there is no moment without rules.
  return absl::StrCat("add table bridge virmo\ndelete table bridge virmo\ntable bridge virmo {\n",
                      Set("flows", flows), Set("pairs", pairs),
                      "chain forward { type filter hook forward priority -10; policy accept;\n"
                      "iifname . oifname @flows accept\n"
                      "ether type arp iifname . oifname @pairs accept\n",
                      "iifname \"", kTapPrefix, "*\" oifname \"", kTapPrefix, "*\" drop\n}\n}\n");
}

absl::Status SetPacketFilter(const TapFlows& flows) {
  ProcessLimits limits;
  limits.unprivileged = false;
  limits.timeout = absl::Seconds(10);
  const absl::Status status = RunLimited({kNft, PacketFilterRules(flows)}, limits).status();
  if (status.ok()) return status;
  return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
               absl::StrCat("this host cannot filter between guests: ", status.message()));
}

}  // namespace virmo::vm_controller
