// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/alert_reader.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "services/runtime/clock.h"
#include "services/runtime/uuid.h"
#include "services/server/dm/virmo_tree.h"
#include "services/syncml/excerpt.h"

namespace virmo::server {
namespace {

// Namespace of the ids that we give to alerts without one.
constexpr const char* kAlertSpace = "5b1d6f0e-7a52-4c0e-8f43-2d7c8f6f3a11";
constexpr size_t kMaxText = 4096;

std::string AlertId(const std::string& device, const std::string& fallback_key,
                    const syncml::GenericAlert& received, const std::string& told) {
  if (IsUuid(told)) return told;
  if (!told.empty()) return NameUuid(kAlertSpace, absl::StrCat(device, "|id|", told));
  if (!received.correlator) return NameUuid(kAlertSpace, absl::StrCat(device, "|", fallback_key));
  return NameUuid(kAlertSpace, absl::StrCat(device, "|", *received.correlator, "|", received.type,
                                            "|", received.source_uri, "|", received.data));
}

}  // namespace

ReadAlert ReadGenericAlert(const std::string& device, const std::string& fallback_key,
                           const syncml::GenericAlert& received) {
  ReadAlert read;
  v1::DeviceAlert& alert = read.alert;
  const auto text_of = [](absl::string_view text) { return syncml::Excerpt(text, kMaxText); };
  alert.set_type(text_of(syncml::AlertType(received.type)));
  alert.set_source_uri(text_of(received.source_uri));
  alert.set_correlator(text_of(received.correlator.value_or("")));
  alert.set_mark(received.mark.empty() ? "informational" : text_of(received.mark));
  const auto result = syncml::ParseOperationResult(received.data);
  if (!result.ok()) {
    alert.set_detail(text_of(received.data));
    read.alert_id = AlertId(device, fallback_key, received, "");
  } else {
    alert.set_result_code(result->result_code);
    alert.set_state(result->state);
    alert.set_lock_state(result->lock_state);
    alert.set_detail(text_of(result->detail));
    alert.set_identifier(text_of(result->identifier));
    absl::Time time;
    if (absl::ParseTime("%E4Y%m%dT%H%M%SZ", result->time, &time, nullptr)) {
      *alert.mutable_event_time() = ToTimestamp(time);
    }
    read.alert_id = AlertId(device, fallback_key, received, result->alert_id);
  }
  if (alert.identifier().empty()) alert.set_identifier(VirtualMachineOfUri(alert.source_uri()));
  return read;
}

}  // namespace virmo::server
