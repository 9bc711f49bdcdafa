// SPDX-License-Identifier: Apache-2.0
// The small formats of a package, chosen by the first octet: VMDK and qcow2 headers, manifests,
// certificate files, gzip.
#include <cstdint>

#include "absl/strings/string_view.h"
#include "services/ovf/disk_header.h"
#include "services/ovf/manifest.h"
#include "services/ovf/package.h"
#include "services/ovf/signature.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::ovf;  // NOLINT: the entry point has to be global
  if (size == 0) return 0;
  const absl::string_view octets(reinterpret_cast<const char*>(data) + 1, size - 1);
  Findings findings;
  const std::unique_ptr<ByteSource> source = SourceOf(octets);
  switch (data[0] % 4) {
    case 0:
      (void)ReadDiskHeader(*source);
      break;
    case 1:
      ReadManifest(octets, "x.mf", findings);
      break;
    case 2: {
      const auto signature = ReadCertificateFile(octets, "x.mf");
      if (signature.ok()) (void)CheckSignature(*SourceOf("text"), *signature, "");
      break;
    }
    default:
      (void)ReadHead(*source, true, 65536);
  }
  return 0;
}
