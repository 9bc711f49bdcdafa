// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// What the generic DM tree is made of: kinds of nodes, as rows of a table (the DDF model of
// OMA-TS-DM_TND §7 and OMA-SUP-DM-DDF).
namespace virmo::dm_bridge {

enum class Format { kNode, kChr, kInt, kBool, kBin, kXml, kNull };

// The name in Meta/Format, `node`.
absl::string_view Name(Format format);

// AccessType: what a kind of node can do at all. The ACL says who may.
enum Access : unsigned { kGet = 1, kReplace = 2, kAdd = 4, kDelete = 8, kExec = 16 };

// One command on one node.
struct Call {
  std::string server_id = {};      // Who asks; empty: local, with all rights.
  std::string uri;                 // The node, `./VirMO/VMs/x/State`.
  std::vector<std::string> names;  // What each `*` of the pattern stands for, unescaped.
  std::string value;               // Add, Replace, Exec: the data, decoded.
  std::string correlator;          // Exec: of the command; empty if it had none.
  std::string command_key;         // Names this command among all that this bridge ever gets.
  // Replace, when an Atomic is taken back: write only if the node's value is still this one, else
  // fail (412). A handler whose service can do it in one step does; the tree has compared before.
  std::optional<std::string> expected = {};
};

// What became of an Exec.
enum class ExecOutcome { kDone, kAccepted };  // 200; 202, an alert follows

// A kind of node. `path` is relative to the object's root; `*` stands for a name that a server or
// the device gave. Handlers may be empty: what has no handler cannot be done. They run on the
// session's thread, must be safe to call from several sessions at a time, and report errors as
// absl::Status with an ErrorInfo or made by DmError().
struct NodeType {
  using Reader = std::function<absl::StatusOr<std::string>(const Call&)>;
  using Writer = std::function<absl::Status(const Call&)>;

  std::string path = {};
  Format format = Format::kNode;
  unsigned access = kGet;
  std::string type = {};  // MIME type or MO identifier; empty: the default of the format.

  // The value of a leaf. One whose `access` has no Get may have it too: then no peer reads it, but
  // a change of it can be taken back.
  Reader read = {};
  Writer write = {};  // Replace.
  Writer add = {};    // Makes it; of a leaf with `value`.
  // Delete, with all below. One whose `access` has no Delete may have it too: then it only takes
  // back an Add.
  Writer remove = {};
  Writer rename = {};  // Replace of `?prop=Name`; `value` is the new name, unescaped.
  std::function<absl::StatusOr<ExecOutcome>(const Call&)> exec = {};
  // Whether `exec` is called even if the node is gone: it may be gone because of this very Exec,
  // whose answer was lost.
  bool exec_when_gone = false;

  // Whether the node is there now. Empty: whenever its parent is.
  std::function<absl::StatusOr<bool>(const Call&)> present = {};
  // A change of its value cannot be taken back by writing the old value: not within Atomic.
  bool irreversible = false;
  // How a deleted node is made again with all below: `save` tells all that `restore` (value) needs.
  // Without them that is tried with the `add` and `write` of each node below, if all have them.
  Reader save = {};
  Writer restore = {};
  // Of an interior node where a server adds management objects as TNDS and the device picks their
  // place (`./Inbox`): the URI of the parent, by MO identifier.
  std::function<absl::StatusOr<std::string>(const std::string& mo_id)> place = {};
  std::string description = {};  // For the DDF.

  // Of a `*` node: the names there are now, unescaped, in order.
  std::function<absl::StatusOr<std::vector<std::string>>(const Call&)> list = {};
};

// A management object: where it is mounted and what it is made of. The first row has an empty
// path: the object's root.
struct ManagementObject {
  std::string root;  // `VirMO`
  std::vector<NodeType> nodes;
};

}  // namespace virmo::dm_bridge
