// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vm-controller/operation_plan.h"

namespace virmo::vm_controller {

// The steps by which Provision makes a virtual machine of an OVF package that the store holds.
// Each can be repeated.

// Reads the descriptor for the request's deployment option and properties, and lets the record be
// what it says: processors and memory unless the request names them, disks, network interfaces,
// firmware. EULA_NOT_ACCEPTED, INVALID_ARGUMENT for a property, NOT_SUPPORTED for what cannot be
// made here.
absl::Status DescribeFromPackage(const Job& job, const v1::CreateVirtualMachineRequest& request);

// Makes every disk, the CDs that the package brings, and the environment's (transport `iso`).
absl::Status MakePackageDisks(const Job& job, const v1::CreateVirtualMachineRequest& request);

}  // namespace virmo::vm_controller
