// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "virmo/v1/errors.pb.h"
#include "virmo/v1/operation.pb.h"
#include "virmo/v1/virtual_machine.pb.h"

namespace virmo::vm_controller {

// What is to be done about a request in the present state.
enum class Verdict { kGo, kAlreadySo };

// Whether an operation may begin (OMA VirMO tree profile, table of operations and states).
// `force` is that of Stop and Delete. FAILED_PRECONDITION (WRONG_STATE) naming the state. Does not
// look at locks and running operations.
absl::StatusOr<Verdict> CheckTransition(v1::OperationKind kind, const v1::VirtualMachine& vm,
                                        bool force);

// The state while an operation runs; UNSPECIFIED: it stays.
v1::VirtualMachine::State TransientState(v1::OperationKind kind);

// The state it aims at; UNSPECIFIED: it stays, or there is none (Delete).
v1::VirtualMachine::State GoalState(v1::OperationKind kind);

// The reason that its failure has when the cause has no better one of its own.
v1::ErrorInfo::Reason FailureReason(v1::OperationKind kind);

// The step of an operation that has but one, so that it is recorded together with the acceptance;
// empty for others.
std::string OnlyStep(v1::OperationKind kind);

// Its name as in the tree and in alerts: `Start`, `DownloadProvision`.
std::string OperationWord(v1::OperationKind kind);

// Whether it gives a virtual machine more than it has now, so that policy must be asked and a
// lock forbids it.
bool Widens(v1::OperationKind kind);

// Whether a lock forbids it: what widens, and what takes data out of it.
bool IsBarredByLock(v1::OperationKind kind);

// Whether a virtual machine in this state may have a started domain.
bool HoldsResources(v1::VirtualMachine::State state);

}  // namespace virmo::vm_controller
