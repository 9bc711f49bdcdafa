// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "services/ovf/descriptor.h"

namespace virmo::ovf {

// Whether a property may have this type (DSP0243 §9.5.1, CIM's type names).
bool IsPropertyType(const std::string& type);

// Why a value is none for the property, by its type and its qualifiers (MinLen, MaxLen, MinValue,
// MaxValue, ValueMap): `is not …`, without the value itself, which may be a password. Empty if it
// is one.
std::string WhyNotValue(const Property& property, const std::string& value);

}  // namespace virmo::ovf
