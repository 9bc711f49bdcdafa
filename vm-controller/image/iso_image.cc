// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/image/iso_image.h"

#include <archive.h>
#include <archive_entry.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"

namespace virmo::vm_controller {
namespace {

using Archive = std::unique_ptr<struct archive, decltype(&archive_write_free)>;
using Entry = std::unique_ptr<struct archive_entry, decltype(&archive_entry_free)>;

la_ssize_t Append(struct archive*, void* to, const void* octets, size_t count) {
  static_cast<std::string*>(to)->append(static_cast<const char*>(octets), count);
  return static_cast<la_ssize_t>(count);
}

bool Add(struct archive* archive, const std::string& path, const std::string& content) {
  const Entry entry(archive_entry_new(), archive_entry_free);
  if (entry == nullptr) return false;
  archive_entry_set_pathname(entry.get(), path.c_str());
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(content.size()));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0400);
  archive_entry_set_mtime(entry.get(), 0, 0);
  return archive_write_header(archive, entry.get()) == ARCHIVE_OK &&
         archive_write_data(archive, content.data(), content.size()) ==
             static_cast<la_ssize_t>(content.size());
}

}  // namespace

absl::StatusOr<std::string> MakeIsoImage(const std::string& label,
                                         const std::map<std::string, std::string>& files) {
  std::string image;
  const Archive archive(archive_write_new(), archive_write_free);
  bool made = archive != nullptr && archive_write_set_format_iso9660(archive.get()) == ARCHIVE_OK &&
              archive_write_set_format_option(archive.get(), "iso9660", "volume-id",
                                              label.c_str()) == ARCHIVE_OK &&
              archive_write_open(archive.get(), &image, nullptr, Append, nullptr) == ARCHIVE_OK;
  for (const auto& [path, content] : files) made = made && Add(archive.get(), path, content);
  made = made && archive_write_close(archive.get()) == ARCHIVE_OK;
  if (made) return image;
  const char* cause = archive == nullptr ? nullptr : archive_error_string(archive.get());
  return Error(v1::ErrorInfo::REASON_INTERNAL,
               absl::StrCat("cannot make a CD image: ", cause == nullptr ? "no memory" : cause));
}

}  // namespace virmo::vm_controller
