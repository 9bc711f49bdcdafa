// SPDX-License-Identifier: Apache-2.0
// OVF descriptors: no input may crash the reader, and what was read survives being written.
#include <cstdint>

#include "absl/strings/string_view.h"
#include "services/ovf/inspection.h"
#include "services/ovf/writer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace virmo::ovf;  // NOLINT: the entry point has to be global
  const absl::string_view octets(reinterpret_cast<const char*>(data), size);
  Findings findings;
  const Descriptor descriptor = ReadDescriptor(octets, {}, findings);
  if (!findings.ok()) return 0;
  InspectionJson(descriptor, findings);
  for (const VirtualSystem& system : descriptor.systems) {
    (void)ResolveProperties(descriptor, system, {});
  }
  WriteDescriptor(descriptor);
  return 0;
}
