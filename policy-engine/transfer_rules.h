// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "policy-engine/policy_store.h"

namespace virmo::policy_engine {

// What may be moved, and what moving it does to a policy. Internal to transferring.

// What is wrong with a transfer whatever the virtual machines are.
absl::Status CheckTransfer(const v1::Transfer& transfer);

// Whether these two may: before anything is changed.
absl::Status CheckDonor(const Record& record, const std::optional<v1::InventoryItem>& item,
                        const v1::Transfer& transfer);
absl::Status CheckReceiver(const Record& record, const v1::Transfer& transfer);

// Adds what is moved to the allocations of a record, or takes it away.
enum class Direction { kAdd, kTakeAway };
void Move(const v1::Transfer& transfer, Direction direction, Record& record);

// Why what the controller reports is not yet what the record asks of the resources that are moved;
// empty if it is, or if the virtual machine does not run.
std::string NotInForce(const Record& record, const std::optional<v1::InventoryItem>& item,
                       const v1::Transfer& transfer, Direction direction);

}  // namespace virmo::policy_engine
