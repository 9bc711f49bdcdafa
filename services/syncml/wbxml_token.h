// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

// WBXML 1.3 (WAP-192), as far as SyncML and TNDS use it.
namespace virmo::syncml::wbxml {

// Global tokens.
inline constexpr uint8_t kSwitchPage = 0x00;
inline constexpr uint8_t kEnd = 0x01;
inline constexpr uint8_t kEntity = 0x02;
inline constexpr uint8_t kStrI = 0x03;
inline constexpr uint8_t kLiteral = 0x04;
inline constexpr uint8_t kExtI0 = 0x40;  // to kExtI2: inline string
inline constexpr uint8_t kExtI2 = 0x42;
inline constexpr uint8_t kPi = 0x43;
inline constexpr uint8_t kExtT0 = 0x80;  // to kExtT2: number
inline constexpr uint8_t kExtT2 = 0x82;
inline constexpr uint8_t kStrT = 0x83;
inline constexpr uint8_t kExt0 = 0xC0;  // to kExt2: nothing
inline constexpr uint8_t kExt2 = 0xC2;
inline constexpr uint8_t kOpaque = 0xC3;

// Bits of a tag.
inline constexpr uint8_t kHasAttributes = 0x80;
inline constexpr uint8_t kHasContent = 0x40;
inline constexpr uint8_t kTokenMask = 0x3F;

inline constexpr uint8_t kVersion13 = 0x03;
inline constexpr uint32_t kCharsetUnknown = 0;
inline constexpr uint32_t kCharsetAscii = 3;
inline constexpr uint32_t kCharsetUtf8 = 106;

inline constexpr uint32_t kPublicIdInTable = 0;
inline constexpr uint32_t kPublicIdUnknown = 1;
inline constexpr uint32_t kPublicIdSyncMl10 = 0x0FD1;
inline constexpr uint32_t kPublicIdSyncMl11 = 0x0FD3;
inline constexpr uint32_t kPublicIdSyncMl12 = 0x1201;
inline constexpr absl::string_view kSyncMlName = "-//SYNCML//DTD SyncML ";  // and the version
inline constexpr absl::string_view kDdfName = "-//OMA//DTD-DM-DDF ";
inline constexpr absl::string_view kDdf12Name = "-//OMA//DTD-DM-DDF 1.2//EN";

inline constexpr int kPageSyncMl = 0;
inline constexpr int kPageMetInf = 1;
inline constexpr int kPageDdf = 2;

}  // namespace virmo::syncml::wbxml
