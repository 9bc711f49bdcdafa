// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/strings/string_view.h"
#include "services/syncml/message.h"

// What must not be seen of a message that is shown or kept: traces, recorded exchanges. Pure
// functions, safe from any thread.
namespace virmo::syncml {

// Takes the place of what is hidden.
inline constexpr absl::string_view kRedacted = "***";

// Whether an item's data must not be shown: by its address (AAuthSecret, AAuthData, anything with
// "Secret"), as an answer that the user typed (it may be a PIN), or as a document that sets such a
// node. `data` is what Item/Data holds.
bool IsSecret(const Command& command, const Item& item, absl::string_view data);

// The same with Cred, NextNonce, and the data of such items replaced by kRedacted, in commands
// within commands too.
Command Redact(Command command);
Message Redact(Message message);

}  // namespace virmo::syncml
