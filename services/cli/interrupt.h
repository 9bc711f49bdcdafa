// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>

namespace virmo::cli {

// While it lives, the first Ctrl-C is noted rather than deadly, so that a wait can end with a
// word on what goes on; a second one kills as ever. At most one at a time.
class InterruptNote {
 public:
  InterruptNote();
  ~InterruptNote();
  InterruptNote(const InterruptNote&) = delete;
  InterruptNote& operator=(const InterruptNote&) = delete;

  bool IsInterrupted() const;

 private:
  struct sigaction former_;
};

}  // namespace virmo::cli
