// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tag.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace virmo::syncml {
namespace {

constexpr uint8_t kFirstToken = 5;

// Names by token, from token 5 on; empty where a token is not used.
constexpr std::string_view kSyncMlNames[] = {"Add",
                                             "Alert",
                                             "Archive",
                                             "Atomic",
                                             "Chal",
                                             "Cmd",
                                             "CmdID",
                                             "CmdRef",
                                             "Copy",
                                             "Cred",
                                             "Data",
                                             "Delete",
                                             "Exec",
                                             "Final",
                                             "Get",
                                             "Item",
                                             "Lang",
                                             "LocName",
                                             "LocURI",
                                             "Map",
                                             "MapItem",
                                             "Meta",
                                             "MsgID",
                                             "MsgRef",
                                             "NoResp",
                                             "NoResults",
                                             "Put",
                                             "Replace",
                                             "RespURI",
                                             "Results",
                                             "Search",
                                             "Sequence",
                                             "SessionID",
                                             "SftDel",
                                             "Source",
                                             "SourceRef",
                                             "Status",
                                             "Sync",
                                             "SyncBody",
                                             "SyncHdr",
                                             "SyncML",
                                             "Target",
                                             "TargetRef",
                                             "",
                                             "VerDTD",
                                             "VerProto",
                                             "NumberOfChanges",
                                             "MoreData",
                                             "Field",
                                             "Filter",
                                             "Record",
                                             "FilterType",
                                             "SourceParent",
                                             "TargetParent",
                                             "Move",
                                             "Correlator"};
constexpr std::string_view kMetInfNames[] = {
    "Anchor",    "EMI",        "Format", "FreeID",  "FreeMem",    "Last",
    "Mark",      "MaxMsgSize", "Mem",    "MetInf",  "Next",       "NextNonce",
    "SharedMem", "Size",       "Type",   "Version", "MaxObjSize", "FieldLevel"};
constexpr std::string_view kDdfNames[] = {
    "AccessType",   "ACL",          "Add",     "b64",         "bin",       "bool",
    "chr",          "CaseSense",    "CIS",     "Copy",        "CS",        "date",
    "DDFName",      "DefaultValue", "Delete",  "Description", "DFFormat",  "DFProperties",
    "DFTitle",      "DFType",       "Dynamic", "Exec",        "float",     "Format",
    "Get",          "int",          "Man",     "MgmtTree",    "MIME",      "Mod",
    "Name",         "Node",         "node",    "NodeName",    "null",      "Occurrence",
    "One",          "OneOrMore",    "OneOrN",  "Path",        "Permanent", "Replace",
    "RTProperties", "Scope",        "Size",    "time",        "Title",     "TStamp",
    "Type",         "Value",        "VerDTD",  "VerNo",       "xml",       "ZeroOrMore",
    "ZeroOrN",      "ZeroOrOne"};

constexpr size_t kSlots = 256;

// Spreads our names well enough that a look-up compares one or two.
constexpr size_t SlotOf(std::string_view name) {
  const auto octet = [name](size_t at) {
    return static_cast<size_t>(static_cast<uint8_t>(name[at]));
  };
  return (name.size() * 67 + octet(0) * 5 + octet(name.size() - 1) * 29 + octet(name.size() / 2)) %
         kSlots;
}

struct Entry {
  std::string_view name;
  Tag tag = Tag::kUnknown;
};

// All tags by name: open addressing, filled when the program is compiled.
constexpr auto kByName = [] {
  std::array<Entry, kSlots> slots;
  const auto put = [&slots](std::string_view name, size_t value) {
    if (name.empty()) return;
    size_t at = SlotOf(name);
    while (!slots[at].name.empty()) at = (at + 1) % kSlots;
    slots[at] = {.name = name, .tag = static_cast<Tag>(value)};
  };
  for (size_t i = 0; i < std::size(kSyncMlNames); ++i) put(kSyncMlNames[i], kFirstToken + i);
  for (size_t i = 0; i < std::size(kMetInfNames); ++i) {
    put(kMetInfNames[i], kMetInfPage | (kFirstToken + i));
  }
  return slots;
}();

template <size_t kSize>
absl::string_view NameIn(const std::string_view (&names)[kSize], uint8_t token) {
  if (token < kFirstToken || token - kFirstToken >= static_cast<int>(kSize)) return {};
  const std::string_view name = names[token - kFirstToken];
  return {name.data(), name.size()};
}

}  // namespace

Tag TagOf(int page, uint8_t token) {
  if (page != 0 && page != 1) return Tag::kUnknown;
  const auto tag = static_cast<Tag>(page << 6 | (token & 0x3F));
  return NameOf(tag).empty() ? Tag::kUnknown : tag;
}

Tag TagOf(absl::string_view name) {
  if (name.empty()) return Tag::kUnknown;
  const std::string_view key(name.data(), name.size());
  for (size_t at = SlotOf(key); !kByName[at].name.empty(); at = (at + 1) % kSlots) {
    if (kByName[at].name == key) return kByName[at].tag;
  }
  return Tag::kUnknown;
}

absl::string_view NameOf(Tag tag) {
  switch (PageOf(tag)) {
    case 0:
      return NameIn(kSyncMlNames, TokenOf(tag));
    case 1:
      return NameIn(kMetInfNames, TokenOf(tag));
    default:
      return DdfName(TokenOf(tag));
  }
}

absl::string_view DdfName(uint8_t token) { return NameIn(kDdfNames, token); }

Tag DdfTagOf(absl::string_view name) {
  const auto found = std::find(std::begin(kDdfNames), std::end(kDdfNames),
                               std::string_view(name.data(), name.size()));
  if (found == std::end(kDdfNames)) return Tag::kUnknown;
  return static_cast<Tag>(kDdfPage | (kFirstToken + (found - std::begin(kDdfNames))));
}

}  // namespace virmo::syncml
