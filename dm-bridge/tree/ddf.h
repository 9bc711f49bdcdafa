// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "dm-bridge/tree/tree.h"
#include "services/syncml/ddf.h"

namespace virmo::dm_bridge {

// Describes what is mounted in a tree (OMA-TS-DM_TND §8), made of the very tables that serve it:
// what is in the description is what can be done, and the other way round.
syncml::DdfDocument DescribeTree(const Tree& tree, const std::string& manufacturer,
                                 const std::string& model);

}  // namespace virmo::dm_bridge
