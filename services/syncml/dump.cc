// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/dump.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/syncml/redact.h"

namespace virmo::syncml {
namespace {

class Dumper {
 public:
  explicit Dumper(const DumpOptions& options) : options_(options) {}

  void DumpHeader(const Header& header);
  void DumpCommand(const Command& command, int depth);
  void Line(int depth, absl::string_view text) {
    absl::StrAppend(&text_, std::string(static_cast<size_t>(depth) * 2, ' '), text, "\n");
  }
  std::string Finish() && { return std::move(text_); }

 private:
  void DumpItem(const Command& command, const Item& item, int depth);
  std::string DataText(absl::string_view data) const;

  const DumpOptions& options_;
  std::string text_;
};

std::string Quoted(absl::string_view text) { return absl::Utf8SafeCHexEscape(text); }

void AppendField(absl::string_view name, absl::string_view value, std::string& to) {
  if (!value.empty()) absl::StrAppend(&to, " ", name, "=", Quoted(value));
}

void AppendField(absl::string_view name, const std::optional<int64_t>& value, std::string& to) {
  if (value) absl::StrAppend(&to, " ", name, "=", *value);
}

std::string MetaText(const Meta& meta) {
  std::string text;
  AppendField("format", meta.format.value_or(""), text);
  AppendField("type", meta.type.value_or(""), text);
  AppendField("mark", meta.mark.value_or(""), text);
  AppendField("size", meta.size, text);
  AppendField("max_msg_size", meta.max_msg_size, text);
  AppendField("max_obj_size", meta.max_obj_size, text);
  if (meta.next_nonce) AppendField("next_nonce", kRedacted, text);
  return text;
}

std::string CredText(const Cred& cred) {
  return absl::StrCat("Cred", MetaText(cred.meta), " data=", kRedacted);
}

std::string LocationText(const Location& location) {
  if (location.name.empty()) return Quoted(location.uri);
  return absl::StrCat(Quoted(location.uri), " (", Quoted(location.name), ")");
}

void Dumper::DumpHeader(const Header& header) {
  std::string line = "SyncHdr";
  AppendField("dtd", header.ver_dtd, line);
  AppendField("proto", header.ver_proto, line);
  AppendField("session", header.session_id, line);
  AppendField("msg", header.msg_id, line);
  absl::StrAppend(&line, " target=", LocationText(header.target),
                  " source=", LocationText(header.source));
  AppendField("resp_uri", header.resp_uri.value_or(""), line);
  if (header.no_resp) absl::StrAppend(&line, " no_resp");
  absl::StrAppend(&line, MetaText(header.meta));
  Line(0, line);
  if (header.cred) Line(1, CredText(*header.cred));
}

void Dumper::DumpCommand(const Command& command, int depth) {
  std::string line = Quoted(NameOf(command));
  AppendField("id", command.cmd_id, line);
  AppendField("msg_ref", command.msg_ref, line);
  AppendField("cmd_ref", command.cmd_ref, line);
  AppendField("cmd", command.cmd, line);
  AppendField("target_ref", absl::StrJoin(command.target_refs, ","), line);
  AppendField("source_ref", absl::StrJoin(command.source_refs, ","), line);
  AppendField("data", command.data, line);
  AppendField("correlator", command.correlator.value_or(""), line);
  absl::StrAppend(&line, MetaText(command.meta));
  Line(depth, line);
  if (command.cred) Line(depth + 1, CredText(*command.cred));
  if (command.chal) Line(depth + 1, absl::StrCat("Chal", MetaText(command.chal->meta)));
  for (const Item& item : command.items) DumpItem(command, item, depth + 1);
  for (const Command& child : command.children) DumpCommand(child, depth + 1);
}

void Dumper::DumpItem(const Command& command, const Item& item, int depth) {
  std::string line = "Item";
  if (item.target) absl::StrAppend(&line, " target=", LocationText(*item.target));
  if (item.source) absl::StrAppend(&line, " source=", LocationText(*item.source));
  AppendField("target_parent", item.target_parent.value_or(""), line);
  AppendField("source_parent", item.source_parent.value_or(""), line);
  absl::StrAppend(&line, MetaText(item.meta));
  if (item.data) {
    absl::StrAppend(
        &line, " data=",
        IsSecret(command, item, *item.data) ? std::string(kRedacted) : DataText(*item.data));
  }
  if (item.more_data) absl::StrAppend(&line, " more_data");
  Line(depth, line);
}

std::string Dumper::DataText(absl::string_view data) const {
  if (options_.max_data == 0 || data.size() <= options_.max_data) {
    return absl::StrCat("\"", Quoted(data), "\"");
  }
  return absl::StrCat("\"", Quoted(data.substr(0, options_.max_data)), "\"... (", data.size(),
                      " octets)");
}

}  // namespace

std::string Dump(const Message& message, const DumpOptions& options) {
  Dumper dumper(options);
  dumper.DumpHeader(message.header);
  for (const Command& command : message.body) dumper.DumpCommand(command, 0);
  if (message.final) dumper.Line(0, "Final");
  return std::move(dumper).Finish();
}

}  // namespace virmo::syncml
