// SPDX-License-Identifier: Apache-2.0
#include "tests/support/private_libvirtd.h"

#include <signal.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/stack.h"

namespace virmo::testing_support {
namespace {

// $1: the folder. The mounts live as long as this process.
constexpr char kHoldNamespace[] = R"sh(
set -eu
D=$1
mkdir -p $D/run $D/lib $D/etc $D/log $D/cache
cp -a /etc/libvirt/. $D/etc/
rm -rf $D/etc/qemu/networks/autostart $D/etc/qemu/*.xml $D/etc/storage $D/etc/secrets
printf 'stdio_handler = "file"\nuser = "root"\ngroup = "root"\n' >> $D/etc/qemu.conf
if [ -d /var/cache/libvirt/qemu ]; then cp -a /var/cache/libvirt/qemu $D/cache/; fi
mkdir -p /run/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
mount --bind $D/run /run/libvirt
mount --bind $D/lib /var/lib/libvirt
mount --bind $D/etc /etc/libvirt
mount --bind $D/log /var/log/libvirt
mount --bind $D/cache /var/cache/libvirt
touch $D/namespace-ready
exec sleep infinity
)sh";

}  // namespace

PrivateLibvirtd::PrivateLibvirtd(const std::string& directory) : directory_(directory) {
  std::filesystem::create_directories(directory_);
  namespace_holder_ = std::make_unique<Child>(
      Child::Options{.command = {"unshare", "-m", "--propagation", "private", "sh", "-c",
                                 kHoldNamespace, "sh", directory_},
                     .environment = {},
                     .output_file = directory_ + "/namespace.log"});
  EXPECT_TRUE(Await([&] { return std::filesystem::exists(directory_ + "/namespace-ready"); }))
      << "no mount namespace: see " << directory_ << "/namespace.log";
  Start();
}

PrivateLibvirtd::~PrivateLibvirtd() {
  if (daemon_) daemon_->Kill(SIGTERM);
}

std::string PrivateLibvirtd::Uri() const {
  return absl::StrCat("qemu+unix:///system?socket=", directory_, "/run/libvirt-sock");
}

void PrivateLibvirtd::Kill9() { daemon_->Kill(SIGKILL); }

void PrivateLibvirtd::Start() {
  std::error_code ignored;
  std::filesystem::remove(directory_ + "/run/libvirt-sock", ignored);
  daemon_ = std::make_unique<Child>(
      Child::Options{.command = {"nsenter", "-t", std::to_string(namespace_holder_->pid()), "-m",
                                 "libvirtd", "-p", directory_ + "/libvirtd.pid"},
                     .environment = {},
                     .output_file = directory_ + "/libvirtd.log"});
  EXPECT_TRUE(Await([&] {
    return RunToEnd({"virsh", "-q", "-c", Uri(), "list"}).exit_code == 0;
  })) << "libvirtd does not answer: see "
      << directory_ << "/libvirtd.log";
}

}  // namespace virmo::testing_support
