// SPDX-License-Identifier: Apache-2.0
#include "services/cli/json.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "google/protobuf/util/json_util.h"

namespace virmo::cli {
namespace {

std::string Convert(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = indented;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) {
    // Only an Any of a type that this program does not know comes here.
    return absl::StrCat("{\"error\":\"cannot show ", message.GetTypeName(), " as JSON\"}");
  }
  return std::string(absl::StripSuffix(json, "\n"));
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) {
  return Convert(message, true) + "\n";
}

std::string ToJsonLine(const google::protobuf::Message& message) {
  return Convert(message, false) + "\n";
}

std::string ToJson(const std::vector<const google::protobuf::Message*>& messages) {
  if (messages.empty()) return "[]\n";
  std::string json = "[";
  for (const google::protobuf::Message* message : messages) {
    // Text in JSON has no raw line feeds, so that this indents and changes nothing else.
    absl::StrAppend(&json, json.size() == 1 ? "\n  " : ",\n  ",
                    absl::StrReplaceAll(Convert(*message, true), {{"\n", "\n  "}}));
  }
  return json + "\n]\n";
}

}  // namespace virmo::cli
