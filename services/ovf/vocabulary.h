// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "services/ovf/element.h"

namespace virmo::ovf {

// The words of OVF and of those who write it.

inline constexpr char kOvf1[] = "http://schemas.dmtf.org/ovf/envelope/1";
inline constexpr char kOvf2[] = "http://schemas.dmtf.org/ovf/envelope/2";
inline constexpr char kRasd[] =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData";
inline constexpr char kVssd[] =
    "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData";
inline constexpr char kVmware[] = "http://www.vmware.com/schema/ovf";
inline constexpr char kXmlNamespace[] = "http://www.w3.org/XML/1998/namespace";

// CIM's resource types (CIM_ResourceAllocationSettingData.ResourceType).
enum ResourceType {
  kTypeOther = 1,
  kTypeProcessor = 3,
  kTypeMemory = 4,
  kTypeIdeController = 5,
  kTypeScsiController = 6,
  kTypeEthernet = 10,
  kTypeFloppy = 14,
  kTypeCd = 15,
  kTypeDvd = 16,
  kTypeDisk = 17,
  kTypeOtherStorage = 20,
  kTypeSerial = 21,
  kTypeParallel = 22,
  kTypeUsb = 23,
  kTypeGraphics = 24,
  kTypeStorageExtent = 31,
  kTypeSound = 35,  // As VirtualBox writes it.
  kTypeVendor = 0x8000,
};

// How a part that we do not understand is taken: ovf:required, true where it is not said
// (DSP0243 §7.3).
enum class Demand { kRequired, kOptional, kIgnorable };

// kIgnorable: of a vendor who writes it without ovf:required, and harmless when left out.
Demand DemandOf(const Element& element);

// Whether the element is of OVF itself.
bool IsOvf(const Element& element);

}  // namespace virmo::ovf
