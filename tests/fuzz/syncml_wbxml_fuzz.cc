// SPDX-License-Identifier: Apache-2.0
// SyncML in WBXML: no input may crash the reader; what was read must survive WBXML to the last
// octet, and must give well-formed XML.
#include <cstdint>

#include "services/syncml/codec.h"
#include "services/syncml/dump.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::syncml;  // NOLINT: the entry point has to be global
  constexpr Limits kSecondPass = {.max_bytes = size_t{16} << 20};
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  const auto message = Decode(octets, Encoding::kWbxml);
  if (!message.ok()) return 0;
  Dump(*message);

  const std::string wbxml = Encode(*message, Encoding::kWbxml);
  const auto again = Decode(wbxml, Encoding::kWbxml, kSecondPass);
  virmo::fuzz::Require(again.ok(), "what was written as WBXML can be read");
  virmo::fuzz::Require(Encode(*again, Encoding::kWbxml) == wbxml, "WBXML is stable");
  const std::string xml = Encode(*message, Encoding::kXml);
  virmo::fuzz::Require(Decode(xml, Encoding::kXml, kSecondPass).ok(),
                       "what was written as XML can be read");
  return 0;
}
