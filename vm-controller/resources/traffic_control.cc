// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/resources/traffic_control.h"

#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/limited_process.h"

namespace virmo::vm_controller {
namespace {

using Rate = v1::NetworkRates::Rate;

constexpr char kTc[] = "/sbin/tc";
constexpr char kIp[] = "/sbin/ip";
// A bucket holds what passes in this time at the rate, at least a few full frames.
constexpr int64_t kBucketMilliseconds = 20;
constexpr int64_t kLeastBucketBytes = 16 * 1024;

absl::Status Run(const std::vector<std::string>& command) {
  ProcessLimits limits;
  limits.unprivileged = false;
  limits.timeout = absl::Seconds(10);
  const absl::Status status = RunLimited(command, limits).status();
  if (status.ok()) return status;
  return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
               absl::StrCat("this host cannot limit network traffic: ", status.message()));
}

bool Exists(const std::string& interface) {
  struct stat info;
  return stat(absl::StrCat("/sys/class/net/", interface).c_str(), &info) == 0;
}

// One for each virtual machine; a name has at most 15 characters.
std::string Intermediate(const std::string& vm_id) {
  return absl::StrCat("vif", vm_id.substr(0, 8));
}

absl::Status SetBucket(const std::string& interface, const Rate& rate, int64_t parts) {
  const int64_t kbps = std::max<int64_t>(rate.average_kbps() / parts, 1);
  const int64_t bucket = rate.burst_kib() > 0
                             ? rate.burst_kib() * 1024
                             : std::max(kLeastBucketBytes, kbps * kBucketMilliseconds / 8);
  std::vector<std::string> command = {kTc,
                                      "qdisc",
                                      "replace",
                                      "dev",
                                      interface,
                                      "root",
                                      "tbf",
                                      "rate",
                                      absl::StrCat(kbps, "kbit"),
                                      "burst",
                                      absl::StrCat(bucket),
                                      "latency",
                                      "200ms"};
  if (rate.peak_kbps() > rate.average_kbps()) {
    for (const std::string& word :
         {std::string("peakrate"), absl::StrCat(rate.peak_kbps() / parts, "kbit"),
          std::string("mtu"), std::string("2000")}) {
      command.push_back(word);
    }
  }
  return Run(command);
}

// It fails if there is none, which is as well.
void RemoveQdisc(const std::string& interface, const char* which) {
  (void)Run({kTc, "qdisc", "del", "dev", interface, which});
}

absl::Status Divert(const std::string& tap, const std::string& intermediate) {
  RemoveQdisc(tap, "ingress");
  RETURN_IF_ERROR(Run({kTc, "qdisc", "add", "dev", tap, "handle", "ffff:", "ingress"}));
  return Run({kTc,        "filter", "add",    "dev",      tap,   "parent",    "ffff:",
              "protocol", "all",    "u32",    "match",    "u32", "0",         "0",
              "action",   "mirred", "egress", "redirect", "dev", intermediate});
}

}  // namespace

absl::Status LimitTraffic(const std::string& vm_id, const std::vector<std::string>& taps,
                          const v1::NetworkRates& rates) {
  const auto parts = static_cast<int64_t>(std::max<size_t>(taps.size(), 1));
  for (const std::string& tap : taps) {
    if (rates.inbound().average_kbps() > 0) {
      RETURN_IF_ERROR(SetBucket(tap, rates.inbound(), parts));
    } else {
      RemoveQdisc(tap, "root");
    }
  }
  const std::string intermediate = Intermediate(vm_id);
  if (rates.outbound().average_kbps() == 0) {
    for (const std::string& tap : taps) RemoveQdisc(tap, "ingress");
    RemoveTrafficLimits(vm_id);
    return absl::OkStatus();
  }
  if (!Exists(intermediate)) {
    RETURN_IF_ERROR(Run({kIp, "link", "add", intermediate, "type", "ifb"}));
  }
  RETURN_IF_ERROR(Run({kIp, "link", "set", intermediate, "up"}));
  RETURN_IF_ERROR(SetBucket(intermediate, rates.outbound(), 1));
  for (const std::string& tap : taps) RETURN_IF_ERROR(Divert(tap, intermediate));
  return absl::OkStatus();
}

void RemoveTrafficLimits(const std::string& vm_id) {
  const std::string intermediate = Intermediate(vm_id);
  if (Exists(intermediate)) (void)Run({kIp, "link", "del", intermediate});
}

}  // namespace virmo::vm_controller
