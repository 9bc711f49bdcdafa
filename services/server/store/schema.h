// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "services/runtime/sqlite.h"

namespace virmo::server {

// All tables of the VirMO server, in one place. Plain SQL that PostgreSQL understands as well, but
// for the word BLOB: no triggers, no rowids, no functions of the database. A row is its key
// columns, what it is searched by, and the rest as a serialized proto.
Schema GetSchema();

}  // namespace virmo::server
