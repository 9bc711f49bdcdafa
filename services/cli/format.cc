// SPDX-License-Identifier: Apache-2.0
#include "services/cli/format.h"

#include <cstdlib>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "services/cli/exit_code.h"

namespace virmo::cli {
namespace {

bool IsUnset(const google::protobuf::Timestamp& timestamp) {
  return timestamp.seconds() == 0 && timestamp.nanos() == 0;
}

std::string Span(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  if (seconds < 100) return absl::StrCat(seconds, " s");
  if (seconds < 100 * 60) return absl::StrCat(seconds / 60, " min");
  if (seconds < 48 * 3600) return absl::StrCat(seconds / 3600, " h");
  return absl::StrCat(seconds / 86400, " d");
}

}  // namespace

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

std::string Relative(const google::protobuf::Timestamp& timestamp, absl::Time now) {
  if (IsUnset(timestamp)) return "";
  const absl::Duration age = now - ToTime(timestamp);
  // Clocks of two machines differ a little; a second in the future is still now.
  if (age < -absl::Seconds(1)) return absl::StrCat("in ", Span(-age));
  return absl::StrCat(Span(std::max(age, absl::ZeroDuration())), " ago");
}

std::string Rfc3339(const google::protobuf::Timestamp& timestamp) {
  if (IsUnset(timestamp)) return "";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", ToTime(timestamp), absl::UTCTimeZone());
}

std::string Seconds(absl::Duration duration) {
  return absl::StrFormat("%.1f s", absl::ToDoubleSeconds(duration));
}

std::string Bytes(int64_t bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? absl::StrCat(bytes, " B") : absl::StrFormat("%.1f %s", value, units[unit]);
}

std::string Mebibytes(int64_t mebibytes) {
  return mebibytes == 0 ? "" : absl::StrCat(mebibytes, " MiB");
}

std::string StateWord(int state) {
  if (!v1::VirtualMachine::State_IsValid(state) || state == 0) return absl::StrCat("State ", state);
  std::string word =
      Word(v1::VirtualMachine::State_Name(static_cast<v1::VirtualMachine::State>(state)), "STATE_");
  word[0] = absl::ascii_toupper(word[0]);
  return word;
}

std::string StateOf(const v1::DeviceVirtualMachine& vm) {
  return absl::StrCat(StateWord(vm.state()), vm.paused() ? " [paused]" : "",
                      vm.locked() ? " [locked]" : "", vm.stale() ? " [stale]" : "");
}

std::string StateOf(const v1::VirtualMachine& vm) {
  return absl::StrCat(StateWord(static_cast<int>(vm.state())), vm.paused() ? " [paused]" : "",
                      vm.paused_by_lock() ? " [paused by lock]" : "",
                      vm.locked() ? " [locked]" : "");
}

std::string StateWord(v1::Command::State state) {
  return v1::Command::State_IsValid(state) ? Word(v1::Command::State_Name(state), "STATE_")
                                           : absl::StrCat("state ", static_cast<int>(state));
}

std::string ActionWord(const v1::Action& action) {
  const google::protobuf::FieldDescriptor* field = action.GetReflection()->GetOneofFieldDescriptor(
      action, v1::Action::descriptor()->FindOneofByName("action"));
  if (field == nullptr) return "";
  const bool force = action.stop().force() || action.delete_().force();
  return absl::StrCat(field->name(), force ? " (force)" : "");
}

std::string ResultWord(int result_code) {
  if (result_code == 0) return "";
  if (result_code == 1200) return "ok";
  if (result_code == 1201) return "ok (was so)";
  if (result_code == 1202) return "ok (at next start)";
  const v1::ErrorInfo::Reason reason = ReasonOfResult(result_code, 0);
  if (reason == v1::ErrorInfo::REASON_UNSPECIFIED) return absl::StrCat(result_code);
  return absl::StrCat(result_code, " ", Word(v1::ErrorInfo::Reason_Name(reason), "REASON_"));
}

std::string Word(absl::string_view value_name, absl::string_view prefix) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(absl::StripPrefix(value_name, prefix)),
                             {{"_", " "}});
}

std::string LastPart(absl::string_view name) {
  const size_t slash = name.rfind('/');
  return std::string(slash == absl::string_view::npos ? name : name.substr(slash + 1));
}

std::string PartAfter(absl::string_view name, absl::string_view collection) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  for (size_t i = 0; i + 1 < parts.size(); i += 2) {
    if (parts[i] == collection) return parts[i + 1];
  }
  return "";
}

std::string FullName(absl::string_view collection, absl::string_view id) {
  const std::string prefix = absl::StrCat(collection, "/");
  return absl::StartsWith(id, prefix) ? std::string(id) : absl::StrCat(prefix, id);
}

}  // namespace virmo::cli
