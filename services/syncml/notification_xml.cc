// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/notification_xml.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/status_macros.h"
#include "services/syncml/base64.h"
#include "services/syncml/notification.h"
#include "services/syncml/xml_parser.h"
#include "services/syncml/xml_printer.h"

namespace virmo::syncml {
namespace {

constexpr size_t kDigestOctets = 16;

// The texts of the root's children.
class FieldReader : public XmlHandler {
 public:
  absl::Status OnStart(absl::string_view, const char* const*) override {
    text_.clear();
    return ++depth_ <= 2 ? absl::OkStatus()
                         : absl::InvalidArgumentError("an element where only text may be");
  }
  absl::Status OnText(absl::string_view text) override {
    text_.append(text.data(), text.size());
    return absl::OkStatus();
  }
  absl::Status OnEnd(absl::string_view name) override {
    if (depth_-- != 2) return absl::OkStatus();
    const bool is_new =
        fields_.emplace(name, std::string(absl::StripAsciiWhitespace(text_))).second;
    return is_new ? absl::OkStatus()
                  : absl::InvalidArgumentError(absl::StrCat(name, " given twice"));
  }

  std::string Take(const std::string& name) { return fields_[name]; }

 private:
  int depth_ = 0;
  std::string text_;
  std::map<std::string, std::string> fields_;
};

absl::Status Wrong(absl::string_view field, absl::string_view value) {
  return absl::InvalidArgumentError(
      absl::StrCat("line 1, column 1: Notification has no usable ", field, ": \"", value, "\""));
}

absl::StatusOr<Notification> NotificationOf(FieldReader& fields) {
  Notification notification;
  const std::string version = fields.Take("Version");
  if (!absl::SimpleAtoi(version, &notification.version)) return Wrong("Version", version);
  const std::string mode = fields.Take("UiMode");
  if (!absl::SimpleAtoi(mode, &notification.ui_mode)) return Wrong("UiMode", mode);
  const std::string initiator = fields.Take("Initiator");
  if (initiator != "server" && initiator != "user") return Wrong("Initiator", initiator);
  notification.server_initiated = initiator == "server";
  const std::string session = fields.Take("SessionID");
  uint32_t id = 0;
  if (!absl::SimpleHexAtoi(session, &id) || id > 0xFFFF) return Wrong("SessionID", session);
  notification.session_id = static_cast<uint16_t>(id);
  notification.server_id = fields.Take("ServerID");
  const std::string body = fields.Take("Body");
  absl::StatusOr<std::string> octets = Base64Decode(body);
  if (!octets.ok()) return Wrong("Body", body);
  notification.body = *std::move(octets);
  return notification;
}

void AddField(XmlPrinter& printer, absl::string_view name, absl::string_view text) {
  printer.Start(name, "", XmlPrinter::Layout::kIndented);
  printer.Text(text);
  printer.End();
}

}  // namespace

bool LooksLikeNotification(absl::string_view octets) {
  const absl::StatusOr<Notification> notification = Decode(octets);
  if (!notification.ok()) return false;
  const absl::string_view future = octets.substr(kDigestOctets + 1, 4);
  const bool unused = (static_cast<unsigned char>(future[0]) & 7U) == 0 &&
                      future.substr(1) == absl::string_view("\0\0\0", 3);
  return unused && std::ranges::all_of(notification->server_id,
                                       [](unsigned char c) { return absl::ascii_isprint(c); });
}

absl::StatusOr<std::string> NotificationAsXml(absl::string_view octets) {
  const absl::StatusOr<Notification> notification = Decode(octets);
  if (!notification.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("octet 0: ", notification.status().message()));
  }
  XmlPrinter printer;
  printer.Start("Notification", "", XmlPrinter::Layout::kIndented);
  AddField(printer, "Digest", absl::BytesToHexString(octets.substr(0, kDigestOctets)));
  AddField(printer, "Version", absl::StrCat(notification->version));
  AddField(printer, "UiMode", absl::StrCat(notification->ui_mode));
  AddField(printer, "Initiator", notification->server_initiated ? "server" : "user");
  AddField(printer, "SessionID", SessionIdOf(*notification));
  AddField(printer, "ServerID", notification->server_id);
  if (!notification->body.empty()) AddField(printer, "Body", Base64Encode(notification->body));
  printer.End();
  return std::move(printer).Finish();
}

absl::StatusOr<std::string> ReadNotificationXml(absl::string_view xml, const Limits& limits) {
  FieldReader fields;
  RETURN_IF_ERROR(ParseXml(xml, limits, fields));
  ASSIGN_OR_RETURN(const Notification notification, NotificationOf(fields));
  const std::string hex = fields.Take("Digest");
  const auto is_digit = [](unsigned char c) { return absl::ascii_isxdigit(c); };
  if (hex.size() != 2 * kDigestOctets || !std::ranges::all_of(hex, is_digit)) {
    return Wrong("Digest", hex);
  }
  const absl::StatusOr<std::string> octets = Encode(notification, "", "");
  if (!octets.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("line 1, column 1: ", octets.status().message()));
  }
  return absl::StrCat(absl::HexStringToBytes(hex), octets->substr(kDigestOctets));
}

}  // namespace virmo::syncml
