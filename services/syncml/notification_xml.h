// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"

// Package #0 as XML of our own, to be read and written by people:
// <Notification><Digest>hex</Digest><Version>11</Version><UiMode>1</UiMode><Initiator>server
// </Initiator><SessionID>1F</SessionID><ServerID>…</ServerID><Body>base64</Body></Notification>
namespace virmo::syncml {

// Whether octets are package #0 rather than anything else: a version we know, no bit of future
// use, a session, and a ServerID of printable characters.
bool LooksLikeNotification(absl::string_view octets);

// InvalidArgument, naming octet 0, if it is none.
absl::StatusOr<std::string> NotificationAsXml(absl::string_view octets);

// The octets of such XML, with the digest that it has. Errors as ParseXml(), and InvalidArgument
// for a field that is missing, twice, or does not fit.
absl::StatusOr<std::string> ReadNotificationXml(absl::string_view xml, const Limits& limits);

}  // namespace virmo::syncml
