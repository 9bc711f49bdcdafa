// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/generic_alert.h"

#include "absl/strings/str_cat.h"
#include "dm-bridge/alerts/alert_relay.h"
#include "dm-bridge/objects/virmo.h"
#include "services/runtime/resource_name.h"

namespace virmo::dm_bridge {
namespace {

absl::string_view MarkOf(v1::Alert::Severity severity) {
  switch (severity) {
    case v1::Alert::SEVERITY_CRITICAL:
      return "critical";
    case v1::Alert::SEVERITY_WARNING:
      return "warning";
    default:
      return "informational";
  }
}

// The alert's Data needs a code: an event that is no result gets the plain one of its kind.
int ResultCodeOf(const v1::Alert& alert) {
  if (alert.result_code() != 0) return alert.result_code();
  return alert.severity() == v1::Alert::SEVERITY_INFORMATIONAL ? 1200 : 1412;
}

// A resource name's id; anything else as it is.
std::string BareId(const std::string& name) { return VirtualMachineId(name).value_or(name); }

std::string SourceOf(const v1::Alert& alert) {
  if (!alert.initiator().uri().empty()) return alert.initiator().uri();
  if (alert.virtual_machine().empty()) return "./VirMO";
  return absl::StrCat("./VirMO/VMs/", BareId(alert.virtual_machine()));
}

}  // namespace

syncml::GenericAlert MakeGenericAlert(const v1::Alert& alert) {
  syncml::OperationResult result;
  result.result_code = ResultCodeOf(alert);
  result.identifier =
      BareId(alert.identifier().empty() ? alert.virtual_machine() : alert.identifier());
  result.state = alert.state();
  result.lock_state = alert.lock_state();
  result.alert_id = alert.alert_id();
  result.time = IsoTime(alert.create_time());
  result.detail = alert.detail();
  syncml::GenericAlert generic;
  generic.source_uri = SourceOf(alert);
  generic.type = absl::StrCat("urn:oma:at:virmo:1.0:", alert.event());
  generic.format = "xml";
  generic.mark = std::string(MarkOf(alert.severity()));
  generic.data = syncml::FormatOperationResult(result);
  if (!alert.initiator().correlator().empty()) {
    generic.correlator = alert.initiator().correlator();
  }
  return generic;
}

}  // namespace virmo::dm_bridge
