// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/syncml/codec.h"

// Documents of OMA DM for people: shown as XML whatever they are, and turned into the other
// encoding. Pure functions, safe from any thread.
namespace virmo::syncml {

enum class DocumentKind : uint8_t { kMessage, kTnds, kDdf, kNotification };

struct Inspected {
  DocumentKind kind = DocumentKind::kMessage;
  Encoding encoding = Encoding::kXml;  // kWbxml also for a notification's octets
  std::string xml{};                   // indented, with a line end
};

// Shows a SyncML message, a TNDS or DDF document, in XML or WBXML, or package #0 (as XML of our
// own, <Notification>). Everything that the document has is shown, elements that we do not know
// too; WBXML documents within Data are shown as elements, other octets as base64. The document is
// checked as its receiver would. Errors as Decode(): they say where (line and column, or octet)
// and why.
absl::StatusOr<Inspected> Inspect(absl::string_view octets, const Limits& limits = {});

// Writes the document in encoding `to`, as a sender of ours would: known elements in the DTD's
// order. The octets of package #0 are its kWbxml, <Notification> its kXml. Errors as Inspect();
// InvalidArgument also for a command that is none of SyncML's, Unimplemented for a DDF document.
absl::StatusOr<std::string> Convert(absl::string_view octets, Encoding to,
                                    const Limits& limits = {});

// XML of the same meaning, indented; for what is known to be well-formed. Errors as ParseXml().
absl::StatusOr<std::string> IndentXml(absl::string_view xml, const Limits& limits = {});

}  // namespace virmo::syncml
