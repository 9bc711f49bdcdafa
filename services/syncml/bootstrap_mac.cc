// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/bootstrap_mac.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/auth.h"

namespace virmo::syncml {
namespace {

constexpr size_t kMacDigits = 40;

absl::string_view Unquoted(absl::string_view value) {
  value = absl::StripAsciiWhitespace(value);
  const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return quoted ? value.substr(1, value.size() - 2) : value;
}

absl::Status AssignOnce(absl::string_view name, absl::string_view value,
                        std::optional<std::string>& to) {
  if (to) return absl::InvalidArgumentError(absl::StrCat("bootstrap: ", name, " given twice"));
  to = std::string(value);
  return absl::OkStatus();
}

}  // namespace

absl::string_view Name(BootstrapSecurity security) {
  switch (security) {
    case BootstrapSecurity::kNetworkId:
      return "NETWORKID";
    case BootstrapSecurity::kUserPin:
      return "USERPIN";
    case BootstrapSecurity::kUserPinNetworkId:
      return "USERPIN_NETWORKID";
  }
  return {};
}

std::optional<BootstrapSecurity> ParseBootstrapSecurity(absl::string_view name) {
  for (const BootstrapSecurity security :
       {BootstrapSecurity::kNetworkId, BootstrapSecurity::kUserPin,
        BootstrapSecurity::kUserPinNetworkId}) {
    if (absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(name), Name(security))) return security;
  }
  return std::nullopt;
}

std::string BootstrapKey(BootstrapSecurity security, absl::string_view network_secret,
                         absl::string_view user_pin) {
  switch (security) {
    case BootstrapSecurity::kNetworkId:
      return std::string(network_secret);
    case BootstrapSecurity::kUserPin:
      return std::string(user_pin);
    case BootstrapSecurity::kUserPinNetworkId:
      return absl::StrCat(user_pin, ":", network_secret);
  }
  return {};
}

absl::StatusOr<std::optional<BootstrapProof>> ParseBootstrapContentType(
    absl::string_view content_type) {
  std::optional<std::string> sec;
  std::optional<std::string> mac;
  for (const absl::string_view parameter : absl::StrSplit(content_type, ';')) {
    const std::pair<absl::string_view, absl::string_view> pair =
        absl::StrSplit(parameter, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(pair.first);
    const absl::string_view value = Unquoted(pair.second);
    if (absl::EqualsIgnoreCase(name, "SEC")) RETURN_IF_ERROR(AssignOnce("SEC", value, sec));
    if (absl::EqualsIgnoreCase(name, "MAC")) RETURN_IF_ERROR(AssignOnce("MAC", value, mac));
  }
  if (!sec && !mac) return std::optional<BootstrapProof>();
  if (!sec || !mac) {
    return absl::InvalidArgumentError("bootstrap: SEC and MAC are needed together");
  }
  const std::optional<BootstrapSecurity> security = ParseBootstrapSecurity(*sec);
  if (!security) {
    return absl::InvalidArgumentError(absl::StrCat(
        "bootstrap: SEC ", *sec, " is not known, use NETWORKID, USERPIN or USERPIN_NETWORKID"));
  }
  return BootstrapProof{.security = *security, .mac = *std::move(mac)};
}

std::string FormatBootstrapParameters(BootstrapSecurity security, absl::string_view key,
                                      absl::string_view document) {
  return absl::StrCat("; SEC=", Name(security), "; MAC=", BootstrapMac(key, document));
}

absl::Status VerifyBootstrapMac(absl::string_view mac, absl::string_view key,
                                absl::string_view document) {
  const std::string given = absl::AsciiStrToUpper(absl::StripAsciiWhitespace(mac));
  const auto is_digit = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (given.size() != kMacDigits || !std::ranges::all_of(given, is_digit)) {
    return absl::InvalidArgumentError("bootstrap: the MAC is not 40 hex digits");
  }
  if (key.empty()) return absl::InvalidArgumentError("bootstrap: no key to check the MAC with");
  if (!ConstantTimeEquals(given, BootstrapMac(key, document))) {
    return absl::UnauthenticatedError("bootstrap: the MAC does not fit document and key");
  }
  return absl::OkStatus();
}

}  // namespace virmo::syncml
