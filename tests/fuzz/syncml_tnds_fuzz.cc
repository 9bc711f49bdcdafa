// SPDX-License-Identifier: Apache-2.0
// TNDS in XML and WBXML: no input may crash the reader, and what was read must survive both
// encodings.
#include <cstdint>

#include "services/syncml/tnds.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::syncml;  // NOLINT: the entry point has to be global
  // Escaping lengthens text, and what a Path implies becomes nodes.
  constexpr Limits kSecondPass = {.max_bytes = size_t{16} << 20, .max_elements = 1000000};
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  const auto document = ReadTnds(octets);
  if (!document.ok()) return 0;
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    const auto again = ReadTnds(WriteTnds(*document, encoding), kSecondPass);
    virmo::fuzz::Require(again.ok(), "what was written can be read");
    virmo::fuzz::Require(*again == *document, "a tree is the same after a round trip");
  }
  return 0;
}
