// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace virmo::vm_controller {

// Whether a guest really runs under KVM with this emulator: KVM can be there and start a guest
// that then cannot execute (nested, or half-virtualised hosts), so a few instructions are tried.
// Takes a second at most. False on any doubt, and where it cannot be tried (not x86).
bool KvmWorks(const std::string& emulator);

// The trial itself, with any accelerator of QEMU: `kvm`, `tcg`.
bool TryAccelerator(const std::string& emulator, const std::string& accelerator);

}  // namespace virmo::vm_controller
