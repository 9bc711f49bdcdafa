// SPDX-License-Identifier: Apache-2.0
#include "services/cli/interrupt.h"

namespace virmo::cli {
namespace {

// A signal handler can reach nothing but a global.
volatile std::sig_atomic_t interrupted = 0;

}  // namespace

InterruptNote::InterruptNote() : former_() {
  interrupted = 0;
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &former_);
}

InterruptNote::~InterruptNote() { sigaction(SIGINT, &former_, nullptr); }

bool InterruptNote::IsInterrupted() const { return interrupted != 0; }

}  // namespace virmo::cli
