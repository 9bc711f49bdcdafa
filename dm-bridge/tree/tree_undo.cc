// SPDX-License-Identifier: Apache-2.0
// Tree: how changes are taken back.

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/tree.h"
#include "dm-bridge/tree/tree_impl.h"
#include "dm-bridge/tree/value.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::dm_bridge {

using syncml::NodeUri;
using syncml::StatusCode;

namespace {

absl::Status Irreversible(absl::string_view why) {
  return DmError(StatusCode::kOptionalFeatureNotSupported,
                 absl::StrCat("cannot be taken back, hence not within Atomic: ", why));
}

// Rows of fields as one text, and back.
std::string ToLine(const std::vector<std::string>& fields) {
  std::string line;
  for (const std::string& field : fields) absl::StrAppend(&line, absl::CEscape(field), "\t");
  return absl::StrCat(line, "\n");
}

std::vector<std::vector<std::string>> FromLines(absl::string_view text) {
  std::vector<std::vector<std::string>> rows;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::vector<std::string>& row = rows.emplace_back();
    for (const absl::string_view field : absl::StrSplit(line, '\t')) {
      absl::CUnescape(field, &row.emplace_back());
    }
  }
  return rows;
}

}  // namespace

// Whether a node of this kind that was deleted can be made again, with all below it, by what each
// kind can do.
bool Tree::IsRemakeable(const Kind& kind) const {
  const NodeType& type = kind.type;
  const bool value = type.read && (type.add || type.write) && !type.irreversible;
  const bool operation = type.format == Format::kNull && (type.access & kExec) != 0;
  if (!kind.interior() && !value && !operation) return false;
  for (const auto& [name, child] : kind.fixed) {
    if (!IsRemakeable(*child)) return false;
  }
  return kind.wildcard == nullptr || (kind.wildcard->type.add && IsRemakeable(*kind.wildcard));
}

absl::Status Tree::CheckReversible(const Change& change) const {
  if (IsSubTree(change)) return absl::OkStatus();  // Node by node, as it is done.
  const absl::StatusOr<Found> parsed = Parse(change.request);
  if (!parsed.ok()) return absl::OkStatus();  // It will fail, and has nothing to take back.
  Found found = *parsed;
  if (found.uri.query != NodeUri::Query::kNone) return absl::OkStatus();
  RETURN_IF_ERROR(Locate(found));
  if (!found.known()) return absl::OkStatus();
  const NodeType& type = found.kind().type;
  const bool replaces = change.kind == Change::Kind::kReplace ||
                        (change.kind == Change::Kind::kCopy && found.exists());
  if (replaces && type.write && (!type.read || type.irreversible)) {
    return Irreversible(absl::StrCat("the value of ", found.uri.Path()));
  }
  const bool adds = change.kind == Change::Kind::kAdd || change.kind == Change::Kind::kCopy;
  if (adds && !found.exists() && type.add) {
    const Kind& topmost = *found.kinds[std::min(found.existing, found.kinds.size() - 1)];
    if (!type.remove && !topmost.type.remove) {
      return Irreversible(absl::StrCat("the making of ", found.uri.Path()));
    }
  }
  if (change.kind == Change::Kind::kDelete && type.remove && (type.access & kDelete) != 0) {
    const bool remakeable = (type.save && type.restore) || (type.add && IsRemakeable(found.kind()));
    if (!remakeable || type.irreversible) {
      return Irreversible(absl::StrCat("the deletion of ", found.uri.Path()));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Tree::SaveNotes(const std::string& path) const {
  std::string notes;
  for (const auto& [at, acl] : acls_.Within(path)) notes += ToLine({"acl", at, acl});
  ASSIGN_OR_RETURN(const auto all, properties_.Within(path));
  for (const auto& [at, properties] : all) {
    notes +=
        ToLine({"prop", at, properties.title, properties.tstamp, absl::StrCat(properties.ver_no)});
  }
  return notes;
}

absl::Status Tree::TakeBackNotes(const UndoStep& step) const {
  RETURN_IF_ERROR(acls_.Forget(step.uri));
  RETURN_IF_ERROR(properties_.Forget(step.uri));
  for (const std::vector<std::string>& row : FromLines(step.before)) {
    if (row[0] == "acl") RETURN_IF_ERROR(acls_.Set(row[1], row[2]));
    if (row[0] != "prop") continue;
    int ver_no = 0;
    if (!absl::SimpleAtoi(row[4], &ver_no)) ver_no = 0;
    RETURN_IF_ERROR(properties_.Set(
        row[1], {.title = row[2], .tstamp = row[3], .ver_no = static_cast<uint16_t>(ver_no)}));
  }
  return absl::OkStatus();
}

// The node and all below it that has to be made again, parents first.
absl::StatusOr<std::string> Tree::SaveSubTree(const Found& found) const {
  if (found.kind().type.save) return found.kind().type.save(found.call);
  std::string rows;
  if (!found.kind().interior()) {
    if (!found.kind().type.read) return rows;
    ASSIGN_OR_RETURN(const std::string value, ReadLeaf(found));
    return ToLine({found.uri.Path(), value});
  }
  rows = ToLine({found.uri.Path(), ""});
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ChildNames(found));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto child, Child(found, name));
    if (!child) continue;
    ASSIGN_OR_RETURN(const std::string below, SaveSubTree(*child));
    rows += below;
  }
  return rows;
}

absl::Status Tree::TakeBackDelete(const UndoStep& step) const {
  ASSIGN_OR_RETURN(Found found, Find(step.uri, step.server_id));
  if (found.exists()) return absl::OkStatus();  // It was not deleted, after all.
  if (found.known() && found.kind().type.restore) {
    found.call.value = step.before;
    found.call.command_key = NewUuid();
    return found.kind().type.restore(found.call);
  }
  for (const std::vector<std::string>& row : FromLines(step.before)) {
    ASSIGN_OR_RETURN(Found node, Find(row[0], step.server_id));
    node.call.value = row[1];
    node.call.command_key = NewUuid();
    const NodeType& type = node.kind().type;
    if (!node.exists() && type.add) {
      RETURN_IF_ERROR(type.add(node.call));
    } else if (!node.kind().interior() && type.write) {
      RETURN_IF_ERROR(type.write(node.call));
    }
  }
  return absl::OkStatus();
}

// Writes the old value, unless somebody else has changed it since.
absl::Status Tree::TakeBackValue(const UndoStep& step) const {
  ASSIGN_OR_RETURN(Found found, Find(step.uri, step.server_id));
  std::string now;
  if (found.exists()) {
    ASSIGN_OR_RETURN(now, ReadLeaf(found));
  }
  if (now == step.before) return absl::OkStatus();
  if (now != step.after) {
    return DmError(StatusCode::kForbidden,
                   absl::StrCat(step.uri, " was changed by somebody else meanwhile"));
  }
  if (!found.known() || !found.kind().type.write) {
    return DmError(StatusCode::kNotFound, absl::StrCat(step.uri, " is gone"));
  }
  found.call.value = step.before;
  found.call.expected = step.after;
  found.call.command_key = NewUuid();
  return found.kind().type.write(found.call);
}

absl::Status Tree::TakeBack(const UndoStep& step) const {
  switch (step.kind) {
    case UndoStep::Kind::kValue:
      return TakeBackValue(step);
    case UndoStep::Kind::kNotes:
      return TakeBackNotes(step);
    case UndoStep::Kind::kDeleted:
      return TakeBackDelete(step);
    case UndoStep::Kind::kAdded: {
      ASSIGN_OR_RETURN(const Found found, Find(step.uri, step.server_id));
      if (!found.exists()) return absl::OkStatus();
      if (!found.kind().type.remove) return Irreversible(step.uri);
      return found.kind().type.remove(found.call);
    }
    case UndoStep::Kind::kRenamed: {
      ASSIGN_OR_RETURN(Found found, Find(step.after, step.server_id));
      if (!found.exists()) return absl::OkStatus();
      found.call.value = step.before;
      return found.kind().type.rename(found.call);
    }
  }
  return absl::OkStatus();
}

namespace {

UndoStep Step(UndoStep::Kind kind, const std::string& uri, const Change& change) {
  return {.kind = kind, .uri = uri, .server_id = change.request.server_id};
}

}  // namespace

// What is to be kept to take `change` back; `before` are the steps of what this Atomic did before.
// Of a change that will fail: anything.
absl::StatusOr<std::vector<UndoStep>> Tree::StepsBack(const Change& change,
                                                      const std::vector<UndoStep>& before) const {
  const absl::StatusOr<Found> parsed = Parse(change.request);
  if (!parsed.ok()) return std::vector<UndoStep>();
  Found found = *parsed;
  RETURN_IF_ERROR(Locate(found));
  const std::string path = found.uri.Path();
  std::vector<UndoStep> steps;
  UndoStep notes = Step(UndoStep::Kind::kNotes, path, change);
  if (change.kind == Change::Kind::kAdd) {
    return StepsBackFromAdd(change, found, before);
  }
  if (!found.exists()) return steps;
  ASSIGN_OR_RETURN(notes.before, SaveNotes(path));
  steps.push_back(std::move(notes));
  if (change.kind == Change::Kind::kDelete) {
    UndoStep deleted = Step(UndoStep::Kind::kDeleted, path, change);
    ASSIGN_OR_RETURN(deleted.before, SaveSubTree(found));
    steps.push_back(std::move(deleted));
  } else if (found.uri.query == NodeUri::Query::kProp) {
    if (found.uri.argument == "Name" && !found.uri.is_root()) {
      AddStepsBackFromRename(change, found, steps);
    }
  } else if (!found.kind().interior() && found.kind().type.write) {
    if (!found.kind().type.read || found.kind().type.irreversible) return Irreversible(path);
    UndoStep value = Step(UndoStep::Kind::kValue, path, change);
    ASSIGN_OR_RETURN(value.before, ReadLeaf(found));
    const absl::StatusOr<std::string> sent =
        DecodeValue(found.kind().type.format, change.request.format, change.request.data);
    value.after = sent.value_or("");
    steps.push_back(std::move(value));
  }
  return steps;
}

absl::StatusOr<std::vector<UndoStep>> Tree::StepsBackFromAdd(
    const Change& change, const Found& found, const std::vector<UndoStep>& before) const {
  std::vector<UndoStep> steps;
  if (found.exists() || !found.known()) return steps;
  const std::string path = found.uri.Path();
  // With the topmost that is made goes everything below it.
  const std::string topmost = found.PathOf(found.existing + 1);
  const Kind& topmost_kind = *found.kinds[found.existing];
  steps.push_back(Step(UndoStep::Kind::kNotes, topmost, change));
  if (topmost_kind.type.remove) {
    steps.push_back(Step(UndoStep::Kind::kAdded, topmost, change));
    return steps;
  }
  if (found.kind().type.remove) {
    steps.push_back(Step(UndoStep::Kind::kAdded, path, change));
    return steps;
  }
  for (const UndoStep& step : before) {
    if (step.kind == UndoStep::Kind::kAdded && syncml::IsWithin(path, step.uri)) return steps;
  }
  if (!found.kind().type.add) return steps;
  return Irreversible(absl::StrCat("the making of ", path));
}

void Tree::AddStepsBackFromRename(const Change& change, const Found& found,
                                  std::vector<UndoStep>& steps) const {
  const std::string parent = found.PathOf(found.uri.segments.size());
  UndoStep renamed = Step(UndoStep::Kind::kRenamed, found.uri.Path(), change);
  renamed.before = syncml::UnescapeSegment(found.uri.segments.back());
  renamed.after =
      absl::StrCat(parent, "/", syncml::EscapeSegment(change.request.data.value_or("")));
  // What the tree keeps of the new name goes, before that of the old one is put back.
  steps.push_back(Step(UndoStep::Kind::kNotes, renamed.after, change));
  steps.push_back(std::move(renamed));
}

// A service may have made something else of a value than what was sent: that is what is there now.
absl::Status Tree::NoteValuesAfter(std::vector<UndoStep>& steps) const {
  for (UndoStep& step : steps) {
    if (step.kind != UndoStep::Kind::kValue) continue;
    ASSIGN_OR_RETURN(const Found found, Find(step.uri, step.server_id));
    if (!found.exists()) continue;
    const absl::StatusOr<std::string> now = ReadLeaf(found);
    if (!now.ok() || *now == step.after) continue;
    step.after = *now;
    RETURN_IF_ERROR(undo_log_.SetAfter(step.id, step.after));
  }
  return absl::OkStatus();
}

absl::Status Tree::FinishRollBack() const {
  if (!roll_back_due_) return absl::OkStatus();
  MutexLock turn(turn_);
  return FinishRollBackInTurn();
}

absl::Status Tree::FinishRollBackInTurn() const {
  if (!roll_back_due_) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<UndoStep> steps, undo_log_.List());
  if (!steps.empty()) spdlog::warn("rolling back an interrupted Atomic steps={}", steps.size());
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    const absl::Status back = TakeBack(*step);
    if (absl::IsUnavailable(back)) {
      return DmError(
          StatusCode::kServiceUnavailable,
          absl::StrCat("an interrupted Atomic cannot be taken back yet: ", back.message()));
    }
    if (!back.ok()) {
      spdlog::error("step not undone uri={} cause=\"{}\"", step->uri, back.message());
    }
    RETURN_IF_ERROR(undo_log_.Remove(step->id));
  }
  roll_back_due_ = false;
  return absl::OkStatus();
}

}  // namespace virmo::dm_bridge
