// SPDX-License-Identifier: Apache-2.0
// Archives, with everything that lies in them: table, manifest, certificate, disks' headers.
#include <cstdint>

#include "absl/strings/string_view.h"
#include "services/ovf/package.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::ovf;  // NOLINT: the entry point has to be global
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  Findings findings;
  const std::unique_ptr<Package> package =
      Package::OpenArchive(SourceOf(octets), "fuzz.ova", findings);
  if (package == nullptr) return 0;
  ReadOptions options;
  options.load = [&](const std::string& href) { return package->Load(href); };
  const Descriptor descriptor = ReadDescriptor(package->descriptor(), options, findings);
  if (findings.ok()) CheckPackage(*package, descriptor, {}, findings);
  return 0;
}
