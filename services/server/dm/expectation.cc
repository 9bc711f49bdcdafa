// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/expectation.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "services/server/dm/virmo_tree.h"
#include "services/server/fleet/secret_values.h"
#include "services/syncml/base64.h"
#include "services/syncml/xml_parser.h"

namespace virmo::server {
namespace {

using Operation = v1::Action::Tree::Operation;

std::string Bool(bool value) { return value ? "true" : "false"; }

// Writes what an XML document means, one way for all its forms.
class Canonical : public syncml::XmlHandler {
 public:
  absl::Status OnStart(absl::string_view name, const char* const* attributes) override {
    Flush();
    absl::StrAppend(&text_, "<", syncml::LocalName(name));
    std::map<std::string, std::string> sorted;
    for (; *attributes != nullptr; attributes += 2) {
      const absl::string_view key = attributes[0];
      if (!absl::StartsWith(key, "xmlns")) sorted[std::string(key)] = attributes[1];
    }
    for (const auto& [key, value] : sorted) absl::StrAppend(&text_, "\n", key, "=", value);
    text_ += ">";
    return absl::OkStatus();
  }
  absl::Status OnText(absl::string_view text) override {
    pending_ += std::string(text);
    return absl::OkStatus();
  }
  absl::Status OnEnd(absl::string_view /*name*/) override {
    Flush();
    text_ += "</>";
    return absl::OkStatus();
  }
  const std::string& text() const { return text_; }

 private:
  void Flush() {
    const absl::string_view stripped = absl::StripAsciiWhitespace(pending_);
    // Escaped, so that text cannot pass for an element.
    absl::StrAppend(&text_, absl::StrReplaceAll(stripped, {{"<", "&lt;"}, {"&", "&amp;"}}));
    pending_.clear();
  }

  std::string text_;
  std::string pending_;
};

std::string CanonicalXml(absl::string_view xml) {
  Canonical canonical;
  const absl::Status parsed = syncml::ParseXml(absl::StripAsciiWhitespace(xml), {}, canonical);
  return parsed.ok() ? canonical.text() : std::string(absl::StripAsciiWhitespace(xml));
}

std::string WithoutSpace(absl::string_view text) {
  std::string bare(text);
  bare.erase(std::remove_if(bare.begin(), bare.end(),
                            [](unsigned char c) { return absl::ascii_isspace(c); }),
             bare.end());
  return bare;
}

std::optional<bool> ParseBool(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (absl::EqualsIgnoreCase(text, "true") || text == "1") return true;
  if (absl::EqualsIgnoreCase(text, "false") || text == "0") return false;
  return std::nullopt;
}

std::vector<Expectation> OfTree(const v1::Action::Tree& tree) {
  // Only the last word about a node can be read back.
  std::map<std::string, Expectation> nodes;
  for (const Operation& operation : tree.operations()) {
    const bool writes =
        operation.verb() == Operation::VERB_ADD || operation.verb() == Operation::VERB_REPLACE;
    if (operation.verb() == Operation::VERB_DELETE) {
      nodes[operation.uri()] = {
          .uri = operation.uri(), .format = "", .values = {}, .present = false};
    } else if (operation.verb() == Operation::VERB_EXEC) {
      nodes.clear();  // It may change anything that was written before it.
    } else if (writes && !IsSecretUri(operation.uri())) {
      const bool tnds = absl::StrContains(operation.type(), "dmtnds");
      Expectation& node = nodes[operation.uri()];
      node = {.uri = operation.uri(),
              .format = operation.format() == "node" || tnds ? "node" : operation.format(),
              .values = {operation.value()}};
      if (node.format == "node") node.values.clear();
    }
  }
  std::vector<Expectation> expectations;
  for (auto& [uri, node] : nodes) expectations.push_back(std::move(node));
  return expectations;
}

Expectation One(const std::string& uri, const char* format, std::vector<std::string> values) {
  return {.uri = uri, .format = format, .values = std::move(values)};
}

}  // namespace

std::vector<Expectation> ExpectationsOf(const v1::Command& command, const std::string& command_id) {
  const v1::Action& action = command.action();
  const std::string& vm = command.virtual_machine_id();
  const std::string root = VirtualMachineUri(vm);
  switch (action.action_case()) {
    case v1::Action::kReplace:
      if (IsSecretUri(action.replace().uri())) return {};
      return {One(action.replace().uri(), action.replace().format().c_str(),
                  {action.replace().value()})};
    case v1::Action::kTree:
      return OfTree(action.tree());
    case v1::Action::kSetPeripheral:
      return {
          One(absl::StrCat(root, "/Peripherals/",
                           PeripheralNode(action.set_peripheral().peripheral_class()), "/Enabled"),
              "bool", {Bool(action.set_peripheral().enabled())})};
    case v1::Action::kSetResources: {
      std::vector<Expectation> expectations;
      for (const Setting& setting : ResourceSettings(action.set_resources(), vm)) {
        expectations.push_back(One(setting.uri, setting.format.c_str(), {setting.value}));
      }
      return expectations;
    }
    case v1::Action::kSetSharing:
      return {One(absl::StrCat(SharingRuleUri(vm, action.set_sharing()), "/Allow"), "bool",
                  {Bool(action.set_sharing().allow())})};
    case v1::Action::kTransfer:
      return {One(absl::StrCat(TransferUri(command_id), "/Status"), "int", {"30"})};
    case v1::Action::kGrantUserUnlock:
      return {One(absl::StrCat(root, "/Lock/UserUnlock/Allowed"), "bool",
                  {Bool(action.grant_user_unlock().grant().allowed())})};
    case v1::Action::kUpdateFirmware:
      return {One(absl::StrCat(FirmwareUri(vm), "/State"), "int", {"90", "100"})};
    default:
      return {};
  }
}

bool CanBeConfirmed(const v1::Command& command, const std::string& command_id) {
  if (!ExpectationsOf(command, command_id).empty()) return true;
  const v1::Action& action = command.action();
  return !command.virtual_machine_id().empty() && !action.has_tree() && !action.has_replace();
}

bool SameValue(absl::string_view format, absl::string_view a, absl::string_view b) {
  if (a == b) return true;
  if (format == "int") {
    int64_t x = 0;
    int64_t y = 0;
    return absl::SimpleAtoi(a, &x) && absl::SimpleAtoi(b, &y) && x == y;
  }
  if (format == "float") {
    double x = 0;
    double y = 0;
    return absl::SimpleAtod(a, &x) && absl::SimpleAtod(b, &y) && x == y;
  }
  if (format == "bool") {
    const auto x = ParseBool(a);
    return x && x == ParseBool(b);
  }
  if (format == "b64" || format == "bin") return WithoutSpace(a) == WithoutSpace(b);
  if (format == "xml") return CanonicalXml(a) == CanonicalXml(b);
  return false;
}

}  // namespace virmo::server
