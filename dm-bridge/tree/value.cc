// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/tree/value.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "dm-bridge/tree/dm_error.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"

namespace virmo::dm_bridge {
namespace {

using syncml::StatusCode;

absl::StatusOr<std::string> DecodeBase64(const std::string& data) {
  std::string text = data;
  text.erase(std::remove_if(text.begin(), text.end(),
                            [](unsigned char c) { return absl::ascii_isspace(c); }),
             text.end());
  absl::StatusOr<std::string> octets = syncml::Base64Decode(text);
  if (!octets.ok()) return DmError(StatusCode::kBadRequest, octets.status().message());
  return octets;
}

absl::StatusOr<std::string> DecodeNode(const std::optional<std::string>& sent,
                                       const std::optional<std::string>& data) {
  if ((sent && *sent != "node") || (data && !data->empty())) {
    return DmError(StatusCode::kUnsupportedMediaType, "an interior node has format node");
  }
  return "";
}

absl::Status CheckText(Format format, const std::string& text) {
  if (format == Format::kInt) return ParseInt(text).status();
  if (format == Format::kBool) return ParseBool(text).status();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> DecodeValue(Format format, const std::optional<std::string>& sent,
                                        const std::optional<std::string>& data) {
  if (format == Format::kNode) return DecodeNode(sent, data);
  const bool octets = sent == "b64" || sent == "bin";
  const bool fits = !sent || *sent == Name(format) || (octets && format == Format::kBin);
  if (!fits) {
    return DmError(StatusCode::kUnsupportedMediaType,
                   absl::StrCat("the node's format is ", Name(format), ", not ", *sent));
  }
  if (!data) return DmError(StatusCode::kIncompleteCommand, "the item has no Data");
  if (format == Format::kBin && sent != "bin") return DecodeBase64(*data);
  RETURN_IF_ERROR(CheckText(format, *data));
  if (format == Format::kInt) return IntText(ParseInt(*data).value_or(0));
  return format == Format::kChr ? *data : std::string(absl::StripAsciiWhitespace(*data));
}

absl::StatusOr<std::string> DecodeArgument(const std::optional<std::string>& sent,
                                           const std::optional<std::string>& data) {
  if (!data) return "";
  if (sent == "b64") return DecodeBase64(*data);
  return *data;
}

absl::Status CheckExpected(const Call& call, absl::string_view now) {
  if (!call.expected || *call.expected == now) return absl::OkStatus();
  return DmError(StatusCode::kIncompleteCommand,
                 absl::StrCat(call.uri, " was changed by somebody else meanwhile"));
}

std::string TypeOf(const NodeType& type) {
  if (!type.type.empty() || type.format == Format::kNode) return type.type;
  if (type.format == Format::kBin) return "application/octet-stream";
  return type.format == Format::kXml ? "text/xml" : "text/plain";
}

std::string BoolText(bool value) { return value ? "true" : "false"; }

std::string IntText(int64_t value) {
  return absl::StrCat(std::clamp<int64_t>(value, std::numeric_limits<int32_t>::min(),
                                          std::numeric_limits<int32_t>::max()));
}

absl::StatusOr<int64_t> ParseInt(absl::string_view text) {
  int32_t number = 0;
  if (!absl::SimpleAtoi(text, &number)) {
    return DmError(StatusCode::kBadRequest, absl::StrCat("not a 32-bit number: '", text, "'"));
  }
  return number;
}

absl::StatusOr<bool> ParseBool(absl::string_view text) {
  const absl::string_view word = absl::StripAsciiWhitespace(text);
  if (word == "true") return true;
  if (word == "false") return false;
  return DmError(StatusCode::kBadRequest, absl::StrCat("neither true nor false: '", text, "'"));
}

}  // namespace virmo::dm_bridge
