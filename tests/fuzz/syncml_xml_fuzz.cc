// SPDX-License-Identifier: Apache-2.0
// SyncML in XML: no input may crash the reader, and what was read must survive both encodings.
#include <cstdint>

#include "absl/strings/match.h"
#include "services/syncml/codec.h"
#include "services/syncml/dump.h"
#include "tests/fuzz/require.h"

namespace virmo::syncml {
namespace {

// Escaping lengthens text.
constexpr Limits kSecondPass = {.max_bytes = size_t{16} << 20};

void CheckRoundTrips(const Message& message) {
  const std::string xml = Encode(message, Encoding::kXml);
  const auto from_xml = Decode(xml, Encoding::kXml, kSecondPass);
  fuzz::Require(from_xml.ok(), "what was written as XML can be read");
  fuzz::Require(Encode(*from_xml, Encoding::kXml) == xml, "XML is stable");

  const std::string wbxml = Encode(message, Encoding::kWbxml);
  const auto from_wbxml = Decode(wbxml, Encoding::kWbxml, kSecondPass);
  fuzz::Require(from_wbxml.ok(), "what was written as WBXML can be read");
  fuzz::Require(Encode(*from_wbxml, Encoding::kXml) == xml, "WBXML carries the same message");
}

}  // namespace
}  // namespace virmo::syncml

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::syncml;  // NOLINT: the entry point has to be global
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  const auto message = Decode(octets, Encoding::kXml);
  if (!message.ok()) return 0;
  Dump(*message);
  // A WBXML document as text in XML would rightly be expanded on the way back.
  if (!absl::StrContains(octets, "tnds+")) CheckRoundTrips(*message);
  return 0;
}
