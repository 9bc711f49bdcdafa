// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "vm-controller/operation_plan.h"

namespace virmo::vm_controller {

// The domain of a record.
absl::StatusOr<DomainSpec> SpecOf(const Job& job, const std::string& vm_id);

// The folders of a virtual machine, made.
absl::Status MakeMachineDirectories(const MachineFiles& files, const std::string& vm_id);

// Steps that start a virtual machine, from boot or from its saved state, so that a lock wins at
// any moment: created standing still, channels opened, admitted once more, and let run only if
// the newest policy allows it.
std::vector<Step> LaunchSteps(Job& job, StartFrom from, v1::OperationKind kind);

// Asks policy-engine, and stores the policy it answers with. `allocations`: what a new virtual
// machine asks for, if that is known only now.
absl::Status Admit(const Job& job, v1::OperationKind kind,
                   const std::vector<v1::Allocation>& allocations = {});

// Opens the channels to a started guest, unless a lock closes them.
absl::Status OpenChannels(const Job& job);

// Lets the CPUs run if the newest policy allows it at this very moment, and no admin's pause holds
// it. VM_LOCKED, CANCELLED.
absl::Status LetRun(const Job& job);

// Tells the guest, which was away, what time it is: soon, and without anybody waiting for it.
void SetClockSoon(const Job& job);

// Whether the domain is started; its state then.
bool IsStarted(const Domain& domain);

}  // namespace virmo::vm_controller
