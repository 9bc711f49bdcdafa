// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/message.h"

// Generic Alerts (1226), and the outcome of an operation that VirMO alerts carry as Data.
namespace virmo::syncml {

// `<OpResult>` of a VirMO alert. State and lock state are 0 when not given, text empty.
struct OperationResult {
  int result_code = 0;       // 1200..1599
  std::string identifier{};  // id of the VM
  int state = 0;             // 10 Stopped .. 110 Cloning
  int lock_state = 0;        // 10 Locked, 30 Unlocked
  std::string alert_id{};
  std::string time{};    // ISO 8601 basic, UTC: 20250101T120000Z
  std::string detail{};  // for people

  bool operator==(const OperationResult&) const = default;
};

// The XML text for Item/Data (which the codec escapes).
std::string FormatOperationResult(const OperationResult& result);

// Reads `<OpResult>`, or a bare number as FUMO, LAWMO and DCMO alerts have; unknown elements are
// skipped. InvalidArgument if there is no result code or a number cannot be read.
absl::StatusOr<OperationResult> ParseOperationResult(absl::string_view data);

// One item of a Generic Alert.
struct GenericAlert {
  std::string source_uri{};
  std::string type{};  // as in AlertType(): without prefix
  std::string format{};
  std::string mark{};
  std::string data{};
  std::optional<std::string> correlator{};

  bool operator==(const GenericAlert&) const = default;
};

// An Alert 1226 with one item, and the items of one that came in (empty for other alerts).
Command MakeGenericAlert(absl::string_view cmd_id, const GenericAlert& alert);
std::vector<GenericAlert> GenericAlertsOf(const Command& alert);

// Meta/Type without white space and without "Content-Type:" or "Reversed-Domain-Name:".
absl::string_view AlertType(absl::string_view type);

}  // namespace virmo::syncml
