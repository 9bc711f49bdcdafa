// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/generic_alert.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/xml_parser.h"
#include "services/syncml/xml_text.h"

namespace virmo::syncml {
namespace {

constexpr Limits kResultLimits = {.max_bytes = 65536, .max_depth = 8, .max_elements = 100};

void AppendElement(absl::string_view name, absl::string_view text, std::string& to) {
  if (text.empty()) return;
  absl::StrAppend(&to, "<", name, ">");
  AppendEscapedXml(text, to);
  absl::StrAppend(&to, "</", name, ">");
}

void AppendNumber(absl::string_view name, int number, std::string& to) {
  if (number != 0) AppendElement(name, absl::StrCat(number), to);
}

// Collects the children of <OpResult>; deeper and unknown elements are passed over.
class ResultReader : public XmlHandler {
 public:
  absl::Status OnStart(absl::string_view name, const char* const*) override {
    ++depth_;
    if (depth_ == 1 && LocalName(name) != "OpResult") {
      return absl::InvalidArgumentError(absl::StrCat("expected OpResult, got ", name));
    }
    if (depth_ == 2) text_.clear();
    return absl::OkStatus();
  }

  absl::Status OnText(absl::string_view text) override {
    if (depth_ == 2) text_.append(text.data(), text.size());
    return absl::OkStatus();
  }

  absl::Status OnEnd(absl::string_view name) override {
    return depth_-- == 2 ? Assign(LocalName(name)) : absl::OkStatus();
  }

  const OperationResult& result() const { return result_; }

 private:
  absl::Status Assign(absl::string_view name) {
    if (name == "ResultCode") return AssignNumber(name, result_.result_code);
    if (name == "State") return AssignNumber(name, result_.state);
    if (name == "LockState") return AssignNumber(name, result_.lock_state);
    if (name == "Identifier") result_.identifier = Trimmed();
    if (name == "AlertID") result_.alert_id = Trimmed();
    if (name == "Time") result_.time = Trimmed();
    if (name == "Detail") result_.detail = text_;
    return absl::OkStatus();
  }

  absl::Status AssignNumber(absl::string_view name, int& number) {
    if (absl::SimpleAtoi(text_, &number) && number >= 0) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(name, " is not a number: ", text_));
  }

  std::string Trimmed() const { return std::string(absl::StripAsciiWhitespace(text_)); }

  OperationResult result_;
  std::string text_;
  int depth_ = 0;
};

}  // namespace

std::string FormatOperationResult(const OperationResult& result) {
  std::string text = "<OpResult>";
  AppendNumber("ResultCode", result.result_code, text);
  AppendElement("Identifier", result.identifier, text);
  AppendNumber("State", result.state, text);
  AppendNumber("LockState", result.lock_state, text);
  AppendElement("AlertID", result.alert_id, text);
  AppendElement("Time", result.time, text);
  AppendElement("Detail", result.detail, text);
  absl::StrAppend(&text, "</OpResult>");
  return text;
}

absl::StatusOr<OperationResult> ParseOperationResult(absl::string_view data) {
  const absl::string_view text = absl::StripAsciiWhitespace(data);
  OperationResult bare;
  if (absl::SimpleAtoi(text, &bare.result_code) && bare.result_code > 0) return bare;
  ResultReader reader;
  RETURN_IF_ERROR(ParseXml(text, kResultLimits, reader));
  if (reader.result().result_code == 0) {
    return absl::InvalidArgumentError("OpResult has no ResultCode");
  }
  return reader.result();
}

Command MakeGenericAlert(absl::string_view cmd_id, const GenericAlert& alert) {
  Command command = MakeAlert(cmd_id, AlertCode::kGeneric);
  command.correlator = alert.correlator;
  Item& item = command.items.emplace_back();
  if (!alert.source_uri.empty()) item.source = Location{.uri = alert.source_uri, .name = ""};
  if (!alert.type.empty()) item.meta.type = alert.type;
  if (!alert.format.empty()) item.meta.format = alert.format;
  if (!alert.mark.empty()) item.meta.mark = alert.mark;
  item.data = alert.data;
  return command;
}

std::vector<GenericAlert> GenericAlertsOf(const Command& alert) {
  std::vector<GenericAlert> alerts;
  if (alert.kind != CommandKind::kAlert || ParseAlertCode(alert.data) != AlertCode::kGeneric) {
    return alerts;
  }
  for (const Item& item : alert.items) {
    GenericAlert& one = alerts.emplace_back();
    if (item.source) one.source_uri = item.source->uri;
    one.type = std::string(AlertType(item.meta.type.value_or("")));
    one.format = item.meta.format.value_or("");
    one.mark = item.meta.mark.value_or("");
    one.data = item.data.value_or("");
    one.correlator = alert.correlator;
  }
  return alerts;
}

absl::string_view AlertType(absl::string_view type) {
  type = absl::StripAsciiWhitespace(type);
  for (const absl::string_view prefix : {"Content-Type:", "Reversed-Domain-Name:"}) {
    if (absl::StartsWithIgnoreCase(type, prefix)) {
      return absl::StripLeadingAsciiWhitespace(type.substr(prefix.size()));
    }
  }
  return type;
}

}  // namespace virmo::syncml
