// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dm-bridge/tree/acl.h"
#include "dm-bridge/tree/node.h"
#include "dm-bridge/tree/properties.h"
#include "dm-bridge/tree/undo_log.h"
#include "services/runtime/mutex.h"
#include "services/syncml/tnds.h"
#include "services/syncml/uri.h"

namespace virmo::dm_bridge {

// A command on one node as it came from a peer.
struct NodeRequest {
  std::string uri = {};                    // As sent.
  std::string server_id = {};              // Authenticated; empty: local, with all rights.
  std::optional<std::string> format = {};  // Meta/Format, if it was given.
  std::optional<std::string> data = {};    // Item/Data, if it was given.
  std::string correlator = {};
  std::string command_key = {};
  std::optional<std::string> type = {};  // Meta/Type, if it was given.
};

// A command that changes the tree.
struct Change {
  enum class Kind { kAdd, kReplace, kDelete, kCopy };
  Kind kind = Kind::kReplace;
  NodeRequest request = {};
  std::string source = {};  // Copy: the URI of the node copied; `request` has the target.
};

// A node as Results show it.
struct NodeValue {
  std::string uri;
  Format format = Format::kNode;
  std::string type;
  std::optional<std::string> value;  // Octets; nothing where only the structure was asked.
};

// Whether the change brings a whole sub-tree as TNDS.
bool IsSubTree(const Change& change);

// The management tree of this device (OMA-TS-DM_TND): generic, made of mounted objects. Checks
// come in the order that tells least: URI (400, 414), ACL (425), existence (404), access type
// (405), format (415) and value (400). Errors are made by DmError() or come from the handlers.
// Changes take turns; while an Atomic runs (transaction.h) they wait. What an Atomic did that a
// crash cut short is taken back before anything else: until then every command fails with 503.
// Thread-safe once everything is mounted.
class Tree {
 public:
  static constexpr syncml::UriLimits kLimits = {
      .max_depth = 16, .max_total_length = 512, .max_segment_length = 64};

  explicit Tree(AclStore& acls);
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  // Adds an object; its handlers must live as long as the tree is used.
  void Mount(const ManagementObject& object);

  // Get: a leaf's value, an interior node's children joined by `/`, a property (`?prop=`), or a
  // sub-tree (`?list=Struct`, `?list=StructData`, `?list=TNDS`). What the asker has no right to Get
  // is left out of a sub-tree.
  absl::StatusOr<std::vector<NodeValue>> Get(const NodeRequest& request) const;

  // Replace: a leaf's value, a property (ACL, Title, Name), or a sub-tree as TNDS.
  absl::Status Replace(const NodeRequest& request);

  // Add: a node, and what interior nodes above it are missing; or a sub-tree as TNDS.
  absl::Status Add(const NodeRequest& request);

  // Delete: a node with all below.
  absl::Status Delete(const NodeRequest& request);

  // Copy: a leaf's value to another leaf, which is made if it is not there.
  absl::Status Copy(const NodeRequest& request, const std::string& source);

  // Exec.
  absl::StatusOr<ExecOutcome> Exec(const NodeRequest& request);

  // Takes back what an Atomic did that a crash cut short; at once OK if there is nothing. 503 while
  // a service that must be asked does not answer.
  absl::Status FinishRollBack() const;

  // Waits until the change that runs, an Atomic as a whole, has ended.
  void AwaitTurn() const { const MutexLock turn(turn_); }

  // Every kind of node that is mounted, parents first, with its path in the tree (`VirMO/VMs/*`).
  std::vector<std::pair<std::string, const NodeType*>> Kinds() const;

 private:
  friend class Transaction;
  struct Kind;
  struct Found;

  // Finding nodes.
  absl::StatusOr<Found> Parse(const NodeRequest& request) const;
  absl::Status Resolve(Found& found, absl::string_view command, unsigned access) const;
  absl::Status Locate(Found& found) const;
  absl::StatusOr<Found> Find(const std::string& uri, const std::string& server_id) const;
  absl::StatusOr<std::vector<std::string>> ChildNames(const Found& found) const;
  absl::StatusOr<std::optional<Found>> Child(const Found& parent, const std::string& name) const;

  // Reading.
  absl::StatusOr<NodeValue> ReadNode(const Found& found) const;
  absl::StatusOr<std::string> ReadLeaf(const Found& found) const;
  absl::StatusOr<std::vector<NodeValue>> GetProperty(Found& found) const;
  absl::StatusOr<std::vector<NodeValue>> GetList(Found& found) const;
  absl::Status Collect(const Found& found, bool with_data, std::vector<NodeValue>& to) const;
  absl::StatusOr<std::string> PropertyOf(const Found& found, const std::string& property) const;

  // Changing; the caller holds the turn.
  absl::Status Do(const Change& change);
  absl::Status DoReplace(const NodeRequest& request);
  absl::Status DoAdd(const NodeRequest& request);
  absl::Status DoDelete(const NodeRequest& request);
  absl::Status ReplaceProperty(Found& found, const std::string& value);
  absl::Status Rename(const Found& found, const std::string& name);
  absl::Status CheckAclRight(const Found& found) const;
  absl::Status MakeParents(const Found& found, std::string* topmost) const;
  absl::Status SetCreatorsAcl(const Found& found);
  absl::Status Remove(const Found& found);
  absl::Status MoveNotes(const std::string& from, const std::string& to);
  absl::StatusOr<Change> Plain(const Change& change) const;

  // Sub-trees as TNDS.
  struct Entry;
  absl::StatusOr<std::vector<NodeValue>> GetTnds(const Found& found) const;
  absl::StatusOr<bool> Describe(const Found& found, syncml::TndsNode& node) const;
  absl::StatusOr<syncml::TndsNode> Pack(const Found& found,
                                        const std::set<std::string>& shown) const;
  absl::Status DoSubTree(const Change& change);
  absl::StatusOr<std::vector<Entry>> Unpack(const Change& change) const;
  absl::Status PlaceEntries(const Found& target, syncml::TndsNode node,
                            std::vector<Entry>& entries) const;
  absl::StatusOr<std::vector<Change>> ChangesFor(const Entry& entry, const Change& change) const;
  absl::StatusOr<std::vector<Change>> Surplus(const Entry& entry, const Change& change) const;

  // Taking back.
  absl::Status CheckReversible(const Change& change) const;
  absl::StatusOr<std::vector<UndoStep>> StepsBack(const Change& change,
                                                  const std::vector<UndoStep>& before) const;
  absl::StatusOr<std::vector<UndoStep>> StepsBackFromAdd(const Change& change, const Found& found,
                                                         const std::vector<UndoStep>& before) const;
  void AddStepsBackFromRename(const Change& change, const Found& found,
                              std::vector<UndoStep>& steps) const;
  absl::Status NoteValuesAfter(std::vector<UndoStep>& steps) const;
  absl::Status FinishRollBackInTurn() const;
  absl::Status TakeBack(const UndoStep& step) const;
  absl::Status TakeBackValue(const UndoStep& step) const;
  absl::Status TakeBackDelete(const UndoStep& step) const;
  absl::Status TakeBackNotes(const UndoStep& step) const;
  absl::StatusOr<std::string> SaveNotes(const std::string& path) const;
  absl::StatusOr<std::string> SaveSubTree(const Found& found) const;
  bool IsRemakeable(const Kind& kind) const;

  AclStore& acls_;
  mutable PropertyStore properties_;
  mutable UndoLog undo_log_;
  std::unique_ptr<Kind> root_;
  mutable Mutex turn_;  // Held by whoever changes the tree.
  mutable std::atomic<bool> roll_back_due_ = true;
};

}  // namespace virmo::dm_bridge
