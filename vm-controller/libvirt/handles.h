// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace virmo::vm_controller {

// Owners of what libvirt gives out.
struct DomainDeleter {
  void operator()(virDomainPtr domain) const { virDomainFree(domain); }
};
using DomainPtr = std::unique_ptr<virDomain, DomainDeleter>;

struct SnapshotDeleter {
  void operator()(virDomainSnapshotPtr snapshot) const { virDomainSnapshotFree(snapshot); }
};
using SnapshotPtr = std::unique_ptr<virDomainSnapshot, SnapshotDeleter>;

// Takes text that libvirt allocated; empty for nullptr.
inline std::string TakeText(char* text) {
  std::string copy = text == nullptr ? "" : text;
  free(text);
  return copy;
}

// libvirt's test driver lacks much that all others have.
inline bool IsTestDriver(virDomainPtr domain) {
  return std::string(virConnectGetType(virDomainGetConnect(domain))) == "TEST";
}

}  // namespace virmo::vm_controller
