// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/syncml/message.h"
#include "services/syncml/wbxml_writer.h"
#include "services/syncml/xml_writer.h"

namespace virmo::syncml {

// Writes a message in the order of the SyncML 1.2 DTD. What the DTD has no place for (Meta of an
// Alert or Status, references outside Status and Results, unknown commands) is left out.
void WriteMessage(const Message& message, XmlWriter& sink);
void WriteMessage(const Message& message, WbxmlWriter& sink);

}  // namespace virmo::syncml
