// SPDX-License-Identifier: Apache-2.0
#include "services/server/images/media_type.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/runtime/error.h"

namespace virmo::server {
namespace {

constexpr absl::string_view kQcow2 = "application/x-qcow2";
constexpr absl::string_view kRaw = "application/x-raw-disk-image";
constexpr absl::string_view kOva = "application/x-ova";
constexpr absl::string_view kOvf = "application/ovf+xml";
constexpr std::array<absl::string_view, 4> kTypes = {kQcow2, kRaw, kOva, kOvf};

}  // namespace

bool IsPackageType(absl::string_view media_type) {
  return std::find(kTypes.begin(), kTypes.end(), media_type) != kTypes.end();
}

std::string PackageTypes() { return absl::StrJoin(kTypes, ", "); }

bool IsSha256(absl::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

absl::StatusOr<std::string> MediaTypeOf(absl::string_view head, absl::string_view told) {
  const bool has_magic = absl::StartsWith(head, absl::string_view("QFI\xfb", 4));
  const bool is_tar = head.size() >= 512 && head.substr(257, 5) == "ustar";
  const absl::string_view seen = has_magic ? kQcow2 : is_tar ? kOva : kRaw;
  if (told.empty()) return std::string(seen);
  if (told == kOvf) {
    return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID,
                 "a descriptor alone cannot be kept: its files lie beside it; upload an archive "
                 "(.ova)");
  }
  // A qcow2 named raw would let a guest write the header that names host files.
  if ((told == kQcow2) != has_magic) {
    return Error(v1::ErrorInfo::REASON_PACKAGE_INVALID,
                 absl::StrCat("the image begins like ", seen, ", but ", told, " was told"));
  }
  return std::string(told);
}

}  // namespace virmo::server
