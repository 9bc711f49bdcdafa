// SPDX-License-Identifier: Apache-2.0
#include "services/server/dm/command_outcome.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "services/syncml/status_code.h"

namespace virmo::server {
namespace {

using syncml::StatusCode;

// 214 to 216 say that nothing was done, or that it was undone.
bool IsSuccess(int status) {
  return status >= 200 && status < 300 && status != Number(StatusCode::kOperationCancelled) &&
         status != Number(StatusCode::kNotExecuted) &&
         status != Number(StatusCode::kAtomicRollBackOk);
}

// Not the cause, but what it brought about for others.
bool IsConsequence(int status) {
  return status == Number(StatusCode::kNotExecuted) ||
         status == Number(StatusCode::kAtomicRollBackOk) ||
         status == Number(StatusCode::kAtomicFailed);
}

// `1419 cannot start a suspended VM`: a result code, and text for people. Either may be missing.
CommandOutcome Read(const Sent& sent) {
  CommandOutcome outcome;
  outcome.status = sent.status();
  outcome.success = IsSuccess(sent.status());
  absl::string_view text = absl::StripAsciiWhitespace(sent.text());
  int code = 0;
  if (absl::SimpleAtoi(text.substr(0, text.find_first_not_of("0123456789")), &code) &&
      code >= 1200 && code < 1600) {
    outcome.result_code = code;
    text = absl::StripLeadingAsciiWhitespace(text.substr(4));
    if (!text.empty() && text[0] == ':') text = absl::StripLeadingAsciiWhitespace(text.substr(1));
  }
  outcome.detail = std::string(text);
  if (outcome.detail.empty() && !IsSuccess(outcome.status)) {
    outcome.detail = std::string(syncml::Meaning(static_cast<syncml::StatusCode>(outcome.status)));
  }
  return outcome;
}

// Worse first: a refusal, what it brought about, then 202, then the rest.
int Badness(int status) {
  if (!IsSuccess(status)) return IsConsequence(status) ? 2 : 3;
  return status == Number(StatusCode::kAccepted) ? 1 : 0;
}

// What an Atomic that failed says beside its child's refusal.
std::string AtomicText(int status) {
  if (status == Number(StatusCode::kAtomicRollBackFailed)) {
    return "; the Atomic failed and could not be undone (516)";
  }
  return absl::StrCat("; the Atomic was undone (", status, ")");
}

}  // namespace

CommandOutcome OutcomeOf(const std::vector<const Sent*>& group) {
  const Sent* worst = nullptr;
  const Sent* refused_sequence = nullptr;
  const Sent* failed_atomic = nullptr;
  bool incomplete = false;
  std::string side_effects;
  for (const Sent* sent : group) {
    if (sent->element() == "Atomic" && sent->status() != 0 && !IsSuccess(sent->status())) {
      failed_atomic = sent;
    }
    const bool essential = sent->essential() && sent->status() != 0 && !IsSuccess(sent->status()) &&
                           sent->status() != Number(StatusCode::kAlreadyExists);
    if (!sent->decides() && !essential) {
      if (sent->status() == 0 || IsSuccess(sent->status())) continue;
      if (sent->uri().empty()) refused_sequence = sent;
      // 418: the leaf is there from an earlier attempt.
      if (!sent->uri().empty() && sent->status() != 418) {
        absl::StrAppend(&side_effects, side_effects.empty() ? "" : "; ", sent->uri(),
                        " was answered ", sent->status());
      }
      continue;
    }
    if (sent->status() == 0) {
      incomplete = true;
    } else if (worst == nullptr || Badness(sent->status()) > Badness(worst->status())) {
      worst = sent;
    }
  }
  if (incomplete && refused_sequence != nullptr) return Read(*refused_sequence);
  if (incomplete && (worst == nullptr || IsSuccess(worst->status()))) return {};
  if (worst == nullptr) return {};
  CommandOutcome outcome = Read(*worst);
  if (group.size() > 1 && !IsSuccess(outcome.status)) {
    outcome.detail = absl::StrCat(worst->uri(), ": ", outcome.detail);
  }
  if (failed_atomic != nullptr) {
    absl::StrAppend(&outcome.detail, " (", outcome.status, ")",
                    AtomicText(failed_atomic->status()));
    outcome.status = failed_atomic->status();
    outcome.success = false;
  }
  if (!side_effects.empty()) {
    absl::StrAppend(&outcome.detail, outcome.detail.empty() ? "" : "; ", side_effects);
  }
  return outcome;
}

}  // namespace virmo::server
