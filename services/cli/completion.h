// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "services/cli/command.h"

namespace virmo::cli {

// What the completion script calls: `virmo __complete WORDS…`.
constexpr char kCompleteWord[] = "__complete";

// Printed, instead of candidates, when a file name is wanted.
constexpr char kFilesWanted[] = ":files";

// Candidates for the last of `words` (the command line so far without the program's name; the
// last may be empty), a line each. Asks the server for names, for at most 2 s; without an answer
// there are none.
std::string Complete(const std::vector<std::string>& words);

// Where on the command line completion is: which command, and what is wanted there.
struct CompletionPoint {
  const Command* command = nullptr;      // Null: still in the command's own words.
  std::string group;                     // `vm`, if that much is known.
  const Parameter* wanted = nullptr;     // Null: nothing but options can follow.
  std::vector<std::string> positionals;  // Given before.
  std::vector<std::string> globals;      // Global options given, with their values.
  std::string global_wanted;             // The global option whose value is being written.
  std::string prefix;                    // What is written already.
};

CompletionPoint FindCompletionPoint(const std::vector<std::string>& words,
                                    const std::vector<Command>& commands);

}  // namespace virmo::cli
