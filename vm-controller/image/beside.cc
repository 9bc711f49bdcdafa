// SPDX-License-Identifier: Apache-2.0
// The part of ImageStore that fetches what lies beside a descriptor.
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/ovf/descriptor.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/image/image_store.h"

namespace virmo::vm_controller {
namespace {

using v1::ErrorInfo;

struct Address {
  std::string folder;  // With the last slash.
  std::string name;    // `x.ovf`
};

absl::StatusOr<Address> AddressOf(const std::string& uri) {
  const std::string path = uri.substr(0, uri.find_first_of("?#"));
  const size_t slash = path.rfind('/');
  const Address address = {path.substr(0, slash + 1), path.substr(slash + 1)};
  if (absl::EndsWithIgnoreCase(address.name, ".ovf") && !absl::StrContains(address.name, "%")) {
    return address;
  }
  return InvalidField("package.uri", "of a descriptor has to end in a plain name, `x.ovf`");
}

// The digest that the caller knows is the descriptor's alone; the files' are in the manifest, which
// whoever is on the way could replace together with them.
absl::Status CheckWay(const std::string& uri, bool is_signed) {
  const bool safe =
      is_signed || !absl::StartsWith(uri, "http://") || absl::StartsWith(uri, "http://127.0.0.1") ||
      absl::StartsWith(uri, "http://localhost") || absl::StartsWith(uri, "http://[::1]");
  if (safe) return absl::OkStatus();
  return Error(ErrorInfo::REASON_PACKAGE_INVALID,
               "the files beside a descriptor are not protected on their way: use https, a signed"
               " package, or an archive (.ova)");
}

std::string Escape(const std::string& path, bool local) {
  if (local) return path;
  std::string escaped;
  for (const char c : path) {
    if (absl::ascii_isalnum(c) || absl::StrContains("-_.~/", std::string(1, c))) {
      escaped += c;
    } else {
      constexpr char kHex[] = "0123456789ABCDEF";
      escaped += '%';
      escaped += kHex[static_cast<unsigned char>(c) >> 4];
      escaped += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return escaped;
}

}  // namespace

absl::StatusOr<std::string> ImageStore::FetchBeside(
    const v1::Package& package, const std::function<void(int64_t, int64_t)>& on_progress,
    const std::function<bool()>& is_cancelled) {
  ASSIGN_OR_RETURN(const Address address, AddressOf(package.uri()));
  RETURN_IF_ERROR(CheckWay(package.uri(), !options_.anchors.empty()));
  const std::string part = PartPath(package.sha256());
  ASSIGN_OR_RETURN(const std::string text, ReadFile(part));
  ovf::Findings findings;
  ovf::ReadOptions read;
  read.file_name = address.name;
  const ovf::Descriptor descriptor = ovf::ReadDescriptor(text, read, findings);
  RETURN_IF_ERROR(findings.ToStatus());
  std::vector<std::pair<std::string, int64_t>> wanted;
  const std::string stem = address.name.substr(0, address.name.size() - 4);
  wanted.emplace_back(stem + ".mf", 0);
  if (!options_.anchors.empty()) wanted.emplace_back(stem + ".cert", 0);
  for (const ovf::FileReference& file : descriptor.files) {
    if (file.chunk_size > 0) {
      return Error(ErrorInfo::REASON_UNSUPPORTED_ENVIRONMENT,
                   "a file in chunks is read from an archive only");
    }
    wanted.emplace_back(file.href, std::max<int64_t>(0, file.size));
  }
  const std::string folder = part + ".d";
  RETURN_IF_ERROR(MakeDirectory(folder, 0711));
  const auto place = [&](const std::string& from, const std::string& name) -> absl::Status {
    std::error_code error;
    const std::filesystem::path to = std::filesystem::path(folder) / name;
    std::filesystem::create_directories(to.parent_path(), error);
    std::filesystem::remove(to, error);
    std::filesystem::create_hard_link(from, to, error);
    return error ? Error(ErrorInfo::REASON_STORAGE_FAILED,
                         absl::StrCat("cannot make ", to.string(), ": ", error.message()))
                 : absl::OkStatus();
  };
  RETURN_IF_ERROR(place(part, address.name));
  for (size_t i = 0; i < wanted.size(); ++i) {
    v1::Package file;
    file.set_uri(absl::StrCat(address.folder,
                              Escape(wanted[i].first, absl::StartsWith(package.uri(), "file:"))));
    // Its row and part are named after the package, so that they go with it.
    file.set_sha256(absl::StrCat(package.sha256(), "-", i));
    file.set_size_bytes(wanted[i].second);
    ASSIGN_OR_RETURN(const int64_t offset, Offset(file.sha256()));
    RETURN_IF_ERROR(FetchPart(file, offset, on_progress, is_cancelled));
    std::error_code ignored;
    std::filesystem::permissions(PartPath(file.sha256()), std::filesystem::perms(0644), ignored);
    RETURN_IF_ERROR(place(PartPath(file.sha256()), wanted[i].first));
  }
  return absl::StrCat(folder, "/", address.name);
}

}  // namespace virmo::vm_controller
