// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "tests/support/child.h"

namespace virmo::testing_support {

// A libvirtd of the test's own: in a mount namespace where /run/libvirt, /etc/libvirt and the like
// are folders below `directory`, so that the host's libvirt, if any, is not touched. Needs root.
class PrivateLibvirtd {
 public:
  explicit PrivateLibvirtd(const std::string& directory);
  ~PrivateLibvirtd();
  PrivateLibvirtd(const PrivateLibvirtd&) = delete;
  PrivateLibvirtd& operator=(const PrivateLibvirtd&) = delete;

  // `qemu+unix:///system?socket=…`, usable from any namespace.
  std::string Uri() const;

  // Kills libvirtd; its guests run on. Then starts it again, in the same namespace.
  void Kill9();
  void Start();

 private:
  std::string directory_;
  std::unique_ptr<Child> namespace_holder_;
  std::unique_ptr<Child> daemon_;
};

}  // namespace virmo::testing_support
