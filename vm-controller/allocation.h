// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/repeated_field.h"
#include "virmo/v1/allocation.pb.h"
#include "virmo/v1/virtual_machine.pb.h"
#include "vm-controller/hypervisor.h"

namespace virmo::vm_controller {

using Allocations = google::protobuf::RepeatedPtrField<v1::Allocation>;

// How much of a kind is asked for; 0 if nothing is.
int64_t QuantityOf(const Allocations& allocations, v1::ResourceKind kind);

// Sets how much of a kind is asked for, keeping the rest of its allocation.
void SetQuantity(Allocations& allocations, v1::ResourceKind kind, int64_t quantity);

// Adds what a virtual machine gets that asks for nothing: 256 MiB, one processor.
void AddDefaults(Allocations& allocations);

// INVALID_ARGUMENT for a kind given twice, or a quantity that makes no sense.
absl::Status CheckAllocations(const Allocations& allocations);

// Adds what a virtual machine has, as its domain shows it.
void AddApplied(const Domain& domain, v1::VirtualMachine& vm);

}  // namespace virmo::vm_controller
