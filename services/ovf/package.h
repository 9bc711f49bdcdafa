// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/ovf/byte_source.h"
#include "services/ovf/descriptor.h"
#include "services/ovf/disk_header.h"
#include "services/ovf/findings.h"
#include "services/ovf/manifest.h"

namespace virmo::ovf {

// The files of an OVF package: a descriptor with what lies beside it, or an archive (.ova). It
// reads; it never writes or extracts. Not thread-safe.
class Package {
 public:
  // Opens by content: XML is a descriptor, tar an archive. nullptr, and a fault, if it is neither.
  static std::unique_ptr<Package> Open(const std::string& path, Findings& findings);

  // The same of an archive that is open already; `name` is for findings.
  static std::unique_ptr<Package> OpenArchive(std::unique_ptr<ByteSource> archive,
                                              const std::string& name, Findings& findings);

  // The name of the descriptor as findings show it: the path that was opened, or the member.
  const std::string& descriptor_path() const { return descriptor_path_; }
  const std::string& descriptor_name() const { return descriptor_name_; }
  const std::string& descriptor() const { return descriptor_; }
  bool is_archive() const { return archive_ != nullptr; }

  // A file of the package; nullptr if it is not there.
  const ByteSource* Find(const std::string& name);

  // A referenced file, put together if it is in chunks; nullptr if it, or a chunk, is not there.
  const ByteSource* Find(const FileReference& file);

  // Where a file of an archive lies in it; -1 otherwise.
  int64_t OffsetOf(const std::string& name) const;

  // Small files beside: the whole text, if it is there and has at most 1 MiB.
  std::optional<std::string> Load(const std::string& name);

  // The names of an archive's members; of a folder nothing.
  std::vector<std::string> Members() const;

 private:
  friend class ArchiveReader;
  std::string directory_;
  std::string descriptor_path_;
  std::string descriptor_name_;
  std::string descriptor_;
  std::unique_ptr<ByteSource> archive_;
  std::map<std::string, std::unique_ptr<ByteSource>> files_;
  std::map<std::string, int64_t> offsets_;
  std::map<std::string, std::unique_ptr<ByteSource>> joined_;
};

struct CheckOptions {
  // PEM certificates that the signature must lead to; empty: a signature is not demanded, and one
  // that is there only has to fit.
  std::string anchors;
  // Whether referenced files that are not there are a fault, also if none is (a descriptor alone).
  bool whole = false;
  // Whether every file has to be in a manifest, by SHA-256 or SHA-512.
  bool demand_manifest = false;
};

// Checks the package against its descriptor and manifest: references are there and have their
// size, digests and signature fit, disks' headers are sound and no larger than their capacity.
// Reads every file once.
void CheckPackage(Package& package, const Descriptor& descriptor, const CheckOptions& options,
                  Findings& findings);

// The beginning of a referenced file, decompressed: at most `count` octets.
absl::StatusOr<std::string> ReadHead(const ByteSource& source, bool gzip, size_t count);

}  // namespace virmo::ovf
