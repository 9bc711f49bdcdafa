// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "virmo/v1/command.pb.h"
#include "virmo/v1/device.pb.h"
#include "virmo/v1/virtual_machine.pb.h"

namespace virmo::cli {

// How values read in tables. None of these can fail; what is unset becomes empty.

absl::Time ToTime(const google::protobuf::Timestamp& timestamp);

// `12 s ago`, `in 5 min`; `2026-11-20T17:20:00Z`; `3.2 s`.
std::string Relative(const google::protobuf::Timestamp& timestamp, absl::Time now);
std::string Rfc3339(const google::protobuf::Timestamp& timestamp);
std::string Seconds(absl::Duration duration);

// `31.4 MiB`; `512 MiB` of a number of MiB.
std::string Bytes(int64_t bytes);
std::string Mebibytes(int64_t mebibytes);

// `Running`; a number nobody knows as `State 35`.
std::string StateWord(int state);

// `Running [paused] [locked] [stale]`.
std::string StateOf(const v1::DeviceVirtualMachine& vm);
std::string StateOf(const v1::VirtualMachine& vm);

// `accepted`; `start`, `stop (force)`.
std::string StateWord(v1::Command::State state);
std::string ActionWord(const v1::Action& action);

// `ok` of 1200, `vm_locked` of 1420, else the number. Empty of 0.
std::string ResultWord(int result_code);

// `confirmed`: a proto enum value's name without its prefix, lower case.
std::string Word(absl::string_view value_name, absl::string_view prefix);

// The last part of a resource name: `phone-1` of `devices/phone-1`.
std::string LastPart(absl::string_view name);

// The part after `collection/`: `phone-1` of `devices/phone-1/commands/7` and `devices`.
std::string PartAfter(absl::string_view name, absl::string_view collection);

// `devices/phone-1` of `phone-1` or of itself.
std::string FullName(absl::string_view collection, absl::string_view id);

}  // namespace virmo::cli
