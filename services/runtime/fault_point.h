// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace virmo {

// Kills this process (SIGKILL) if the environment says VIRMO_FAULT=`name`, or `name:N` for the
// N-th time it passes here. Marks where a test may want to see a crash; compiled to nothing
// unless the build has VIRMO_FAULT_POINTS.
#ifdef VIRMO_FAULT_POINTS
void FaultPoint(const char* name);
#else
inline void FaultPoint(const char* /*name*/) {}
#endif

}  // namespace virmo
