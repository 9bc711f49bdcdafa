// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/tag.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

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

using Entry = std::pair<std::string_view, Tag>;

// All tags, sorted by name when the program is compiled.
constexpr auto kByName = [] {
  std::array<Entry, std::size(kSyncMlNames) + std::size(kMetInfNames)> entries;
  size_t at = 0;
  for (size_t i = 0; i < std::size(kSyncMlNames); ++i) {
    entries[at++] = {kSyncMlNames[i], static_cast<Tag>(kFirstToken + i)};
  }
  for (size_t i = 0; i < std::size(kMetInfNames); ++i) {
    entries[at++] = {kMetInfNames[i], static_cast<Tag>(kMetInfPage | (kFirstToken + i))};
  }
  std::ranges::sort(entries);
  return entries;
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
  const auto found = std::ranges::lower_bound(kByName, key, {}, &Entry::first);
  return found != kByName.end() && found->first == key ? found->second : Tag::kUnknown;
}

absl::string_view NameOf(Tag tag) {
  return PageOf(tag) == 0 ? NameIn(kSyncMlNames, TokenOf(tag)) : NameIn(kMetInfNames, TokenOf(tag));
}

absl::string_view DdfName(uint8_t token) { return NameIn(kDdfNames, token); }

}  // namespace virmo::syncml
