// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"

namespace virmo::ovf {

// How many bytes a unit stands for: `byte * 2^20`, `byte*10^6` (DSP0004, Annex C) and the words
// that older tools write, `MegaBytes`, `GB`, `KiB` (all binary). Nothing for what is no unit of
// bytes, or too large.
std::optional<int64_t> BytesOfUnit(absl::string_view unit);

// How many MHz (`hertz * 10^6`, `MHz`) a processor's unit stands for; nothing for another unit.
std::optional<double> MegahertzOfUnit(absl::string_view unit);

// A whole number that is not negative: decimal, or hex with `0x`; white space around it and a
// fraction of zeros are let through. Nothing for anything else, or beyond 2^63.
std::optional<int64_t> ParseQuantity(absl::string_view text);

// The product; nothing if it does not fit.
std::optional<int64_t> Multiply(int64_t a, int64_t b);

}  // namespace virmo::ovf
