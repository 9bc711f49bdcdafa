// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "policy-engine/policy_store.h"

namespace virmo::policy_engine {

// Rules of a grant to unlock by the user. Internal to user_unlocking.

constexpr size_t kMinSecretBytes = 4;
constexpr size_t kMaxSecretBytes = 1024;

v1::UserUnlock& GrantOf(Record& record);
int MaxAttempts(const v1::UserUnlock& grant);
// No attempt is left.
bool IsExhausted(const v1::UserUnlock& grant);
// Whether an attempt brings a wipe nearer: those beyond the last still do.
bool AwaitsWipe(const v1::UserUnlock& grant);
// What the data key's wrap under the secret is bound to.
std::string SecretContext(const std::string& id);

}  // namespace virmo::policy_engine
