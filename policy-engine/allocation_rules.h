// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "virmo/v1/allocation.pb.h"

namespace virmo::policy_engine {

using Allocations = google::protobuf::RepeatedPtrField<v1::Allocation>;

// What a virtual machine gets that asks for nothing.
constexpr int64_t kDefaultMemoryMib = 512;
constexpr int64_t kDefaultVirtualCpus = 1;
// Less memory than this no guest can use.
constexpr int64_t kMinMemoryMib = 16;
constexpr int32_t kMaxWeight = 10000;

// Checks what is wrong whatever the host: kinds unknown or given twice, values that contradict
// each other, pools of another kind. INVALID_ARGUMENT that names the field
// (`allocations[1].limit`); NOT_FOUND for an unknown pool.
absl::Status CheckAllocations(const Allocations& allocations);

// Adds `changes` to `allocations`: a kind that is given replaces its former allocation.
void MergeAllocations(const Allocations& changes, Allocations& allocations);

// Adds memory and processor if they are missing, so that each policy has both.
void AddDefaults(Allocations& allocations);

// The allocation of a kind, or an empty one.
const v1::Allocation& AllocationOf(const Allocations& allocations, v1::ResourceKind kind);

// What an allocation asks its pool to guarantee.
int64_t AskedOf(const v1::Allocation& allocation);

}  // namespace virmo::policy_engine
