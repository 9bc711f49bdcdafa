// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace virmo::syncml {

inline constexpr uint8_t kMetInfPage = 0x40;
inline constexpr uint8_t kDdfPage = 0x80;

// The elements of SyncML, MetInf and DM DDF. A tag's value is its WBXML code page (bits 6 and 7)
// and token.
enum class Tag : uint8_t {
  kUnknown = 0,
  // Page 0, SyncML 1.2.
  kAdd = 0x05,
  kAlert = 0x06,
  kArchive = 0x07,
  kAtomic = 0x08,
  kChal = 0x09,
  kCmd = 0x0A,
  kCmdID = 0x0B,
  kCmdRef = 0x0C,
  kCopy = 0x0D,
  kCred = 0x0E,
  kData = 0x0F,
  kDelete = 0x10,
  kExec = 0x11,
  kFinal = 0x12,
  kGet = 0x13,
  kItem = 0x14,
  kLang = 0x15,
  kLocName = 0x16,
  kLocURI = 0x17,
  kMap = 0x18,
  kMapItem = 0x19,
  kMeta = 0x1A,
  kMsgID = 0x1B,
  kMsgRef = 0x1C,
  kNoResp = 0x1D,
  kNoResults = 0x1E,
  kPut = 0x1F,
  kReplace = 0x20,
  kRespURI = 0x21,
  kResults = 0x22,
  kSearch = 0x23,
  kSequence = 0x24,
  kSessionID = 0x25,
  kSftDel = 0x26,
  kSource = 0x27,
  kSourceRef = 0x28,
  kStatus = 0x29,
  kSync = 0x2A,
  kSyncBody = 0x2B,
  kSyncHdr = 0x2C,
  kSyncML = 0x2D,
  kTarget = 0x2E,
  kTargetRef = 0x2F,
  kVerDTD = 0x31,
  kVerProto = 0x32,
  kNumberOfChanges = 0x33,
  kMoreData = 0x34,
  kField = 0x35,
  kFilter = 0x36,
  kRecord = 0x37,
  kFilterType = 0x38,
  kSourceParent = 0x39,
  kTargetParent = 0x3A,
  kMove = 0x3B,
  kCorrelator = 0x3C,
  // Page 1, MetInf.
  kAnchor = kMetInfPage | 0x05,
  kEMI = kMetInfPage | 0x06,
  kFormat = kMetInfPage | 0x07,
  kFreeID = kMetInfPage | 0x08,
  kFreeMem = kMetInfPage | 0x09,
  kLast = kMetInfPage | 0x0A,
  kMark = kMetInfPage | 0x0B,
  kMaxMsgSize = kMetInfPage | 0x0C,
  kMem = kMetInfPage | 0x0D,
  kMetInf = kMetInfPage | 0x0E,
  kNext = kMetInfPage | 0x0F,
  kNextNonce = kMetInfPage | 0x10,
  kSharedMem = kMetInfPage | 0x11,
  kSize = kMetInfPage | 0x12,
  kType = kMetInfPage | 0x13,
  kVersion = kMetInfPage | 0x14,
  kMaxObjSize = kMetInfPage | 0x15,
  kFieldLevel = kMetInfPage | 0x16,
  // Page 2, DM DDF and TNDS.
  kDdfAccessType = kDdfPage | 0x05,
  kDdfACL = kDdfPage | 0x06,
  kDdfAdd = kDdfPage | 0x07,
  kDdfFormatB64 = kDdfPage | 0x08,
  kDdfFormatBin = kDdfPage | 0x09,
  kDdfFormatBool = kDdfPage | 0x0A,
  kDdfFormatChr = kDdfPage | 0x0B,
  kDdfCaseSense = kDdfPage | 0x0C,
  kDdfCIS = kDdfPage | 0x0D,
  kDdfCopy = kDdfPage | 0x0E,
  kDdfCS = kDdfPage | 0x0F,
  kDdfFormatDate = kDdfPage | 0x10,
  kDdfDDFName = kDdfPage | 0x11,
  kDdfDefaultValue = kDdfPage | 0x12,
  kDdfDelete = kDdfPage | 0x13,
  kDdfDescription = kDdfPage | 0x14,
  kDdfDFFormat = kDdfPage | 0x15,
  kDdfDFProperties = kDdfPage | 0x16,
  kDdfDFTitle = kDdfPage | 0x17,
  kDdfDFType = kDdfPage | 0x18,
  kDdfDynamic = kDdfPage | 0x19,
  kDdfExec = kDdfPage | 0x1A,
  kDdfFormatFloat = kDdfPage | 0x1B,
  kDdfFormat = kDdfPage | 0x1C,
  kDdfGet = kDdfPage | 0x1D,
  kDdfFormatInt = kDdfPage | 0x1E,
  kDdfMan = kDdfPage | 0x1F,
  kDdfMgmtTree = kDdfPage | 0x20,
  kDdfMIME = kDdfPage | 0x21,
  kDdfMod = kDdfPage | 0x22,
  kDdfName = kDdfPage | 0x23,
  kDdfNode = kDdfPage | 0x24,
  kDdfFormatNode = kDdfPage | 0x25,
  kDdfNodeName = kDdfPage | 0x26,
  kDdfFormatNull = kDdfPage | 0x27,
  kDdfOccurrence = kDdfPage | 0x28,
  kDdfOne = kDdfPage | 0x29,
  kDdfOneOrMore = kDdfPage | 0x2A,
  kDdfOneOrN = kDdfPage | 0x2B,
  kDdfPath = kDdfPage | 0x2C,
  kDdfPermanent = kDdfPage | 0x2D,
  kDdfReplace = kDdfPage | 0x2E,
  kDdfRTProperties = kDdfPage | 0x2F,
  kDdfScope = kDdfPage | 0x30,
  kDdfSize = kDdfPage | 0x31,
  kDdfFormatTime = kDdfPage | 0x32,
  kDdfTitle = kDdfPage | 0x33,
  kDdfTStamp = kDdfPage | 0x34,
  kDdfType = kDdfPage | 0x35,
  kDdfValue = kDdfPage | 0x36,
  kDdfVerDTD = kDdfPage | 0x37,
  kDdfVerNo = kDdfPage | 0x38,
  kDdfFormatXml = kDdfPage | 0x39,
  kDdfZeroOrMore = kDdfPage | 0x3A,
  kDdfZeroOrN = kDdfPage | 0x3B,
  kDdfZeroOrOne = kDdfPage | 0x3C,
};

constexpr int PageOf(Tag tag) { return static_cast<uint8_t>(tag) >> 6; }
constexpr uint8_t TokenOf(Tag tag) { return static_cast<uint8_t>(tag) & 0x3FU; }

// The tag of a code page's token; kUnknown for pages other than 0 and 1 and for unused tokens.
Tag TagOf(int page, uint8_t token);

// By local name, case-sensitive, of SyncML and MetInf; kUnknown if it is none of theirs.
Tag TagOf(absl::string_view name);

// The element's name; empty for kUnknown.
absl::string_view NameOf(Tag tag);

// The name of a token of page 2; empty if unused.
absl::string_view DdfName(uint8_t token);

// The tag of page 2 with this name; kUnknown if there is none.
Tag DdfTagOf(absl::string_view name);

}  // namespace virmo::syncml
