// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/kvm_probe.h"

#include <unistd.h>

#include "gtest/gtest.h"

namespace virmo::vm_controller {
namespace {

constexpr char kEmulator[] = "/usr/bin/qemu-system-x86_64";

TEST(KvmProbeTest, AnAcceleratorThatWorksIsFoundToWork) {
  if (access(kEmulator, X_OK) != 0) GTEST_SKIP() << "no QEMU";
  // A busy machine may take longer than the probe's second, now and then.
  bool works = false;
  for (int i = 0; i < 5 && !works; ++i) works = TryAccelerator(kEmulator, "tcg");
  EXPECT_TRUE(works);
}

TEST(KvmProbeTest, WhatCannotRunIsFoundNotTo) {
  if (access(kEmulator, X_OK) != 0) GTEST_SKIP() << "no QEMU";
  EXPECT_FALSE(TryAccelerator(kEmulator, "no-such-accelerator"));
  EXPECT_FALSE(TryAccelerator("/nonexistent", "tcg"));
}

}  // namespace
}  // namespace virmo::vm_controller
