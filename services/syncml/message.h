// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/syncml/status_code.h"

// The SyncML message model: plain values, the same for XML and WBXML, for client and server.
// Ids, references and codes are text: peers send GUIDs as CmdID and "0" as SessionID, and both
// are legal. Nothing here is validated beyond what the codec says.
namespace virmo::syncml {

// MetInf. A number that was present but could not be read is -1: answer 400 to that command.
struct Meta {
  std::optional<std::string> format{};  // chr, int, bool, b64, bin, xml, node, null, ...
  std::optional<std::string> type{};    // MIME type, MO identifier, authentication or alert type
  std::optional<std::string> mark{};    // importance of a Generic Alert
  std::optional<std::string>
      next_nonce{};               // base64 text as on the wire, also when it came by WBXML
  std::optional<int64_t> size{};  // total length of a large object, in wire characters
  std::optional<int64_t> max_msg_size{};
  std::optional<int64_t> max_obj_size{};

  bool empty() const;
  bool operator==(const Meta&) const = default;
};

// LocURI and LocName. An empty name is an absent one.
struct Location {
  std::string uri{};
  std::string name{};

  bool operator==(const Location&) const = default;
};

// One Item. `data` is the unescaped character data: CDATA and escaped text are the same value.
// If the Data element held markup, `data` is that markup as text. With format `bin` data is raw
// octets, with `b64` base64 text; XML carries only the latter (see codec.h).
struct Item {
  std::optional<Location> target{};
  std::optional<Location> source{};
  std::optional<std::string> target_parent{};
  std::optional<std::string> source_parent{};
  Meta meta{};
  std::optional<std::string> data{};  // nullopt: no Data element; "": an empty one
  bool more_data = false;

  bool operator==(const Item&) const = default;
};

struct Cred {
  Meta meta{};
  std::string data{};

  bool operator==(const Cred&) const = default;
};

struct Chal {
  Meta meta{};

  bool operator==(const Chal&) const = default;
};

enum class CommandKind : uint8_t {
  kAdd,
  kAlert,
  kAtomic,
  kCopy,
  kDelete,
  kExec,
  kGet,
  kReplace,
  kResults,
  kSequence,
  kStatus,
  kUnknown,
};

// The element name; "Unknown" for kUnknown.
absl::string_view Name(CommandKind kind);

// One command of any kind; which members a kind uses follows the DTD.
struct Command {
  CommandKind kind = CommandKind::kUnknown;
  std::string cmd_id{};  // empty if the sender left it out: answer 400
  Meta meta{};           // applies to all items; an item's own meta wins
  std::vector<Item> items{};
  std::optional<std::string> correlator{};

  // Status and Results.
  std::string msg_ref{};
  std::string cmd_ref{};
  std::string cmd{};
  std::vector<std::string> target_refs{};
  std::vector<std::string> source_refs{};
  std::optional<Cred> cred{};
  std::optional<Chal> chal{};

  std::string data{};               // Status code, or Alert code, as text
  std::vector<Command> children{};  // Atomic, Sequence
  std::string unknown_name{};       // kUnknown: the element's name

  bool operator==(const Command&) const = default;
};

struct Header {
  std::string ver_dtd = "1.2";
  std::string ver_proto = "DM/1.3";
  std::string session_id{};
  std::string msg_id{};
  Location target{};
  Location source{};
  std::optional<std::string> resp_uri{};
  std::optional<Cred> cred{};
  Meta meta{};
  bool no_resp = false;

  bool operator==(const Header&) const = default;
};

struct Message {
  Header header{};
  std::vector<Command> body{};
  bool final = false;

  bool operator==(const Message&) const = default;
};

// The name to put into Status/Cmd for `command`, also of an unknown one.
absl::string_view NameOf(const Command& command);

// The item's own format/type, else the command's, else the default (chr, text/plain).
absl::string_view FormatOf(const Command& command, const Item& item);
absl::string_view TypeOf(const Command& command, const Item& item);

// Status for the header of `received`: CmdRef 0, with the header's URIs as references.
Command MakeHeaderStatus(absl::string_view cmd_id, const Header& received, StatusCode code);

// Status for `about`, a command of the message with id `msg_ref`. MakeItemStatus names the item,
// as is needed when a command has several.
Command MakeStatus(absl::string_view cmd_id, absl::string_view msg_ref, const Command& about,
                   StatusCode code);
Command MakeItemStatus(absl::string_view cmd_id, absl::string_view msg_ref, const Command& about,
                       const Item& item, StatusCode code);

// An Alert without items, such as 1200, 1201, 1222, 1223.
Command MakeAlert(absl::string_view cmd_id, AlertCode code);

// Items that address a node (commands) or come from one (Results, alerts, DevInfo).
Item MakeTargetItem(absl::string_view uri, std::optional<std::string> data = std::nullopt);
Item MakeSourceItem(absl::string_view uri, std::optional<std::string> data = std::nullopt);

}  // namespace virmo::syncml
