// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dm-bridge/tree/acl.h"
#include "dm-bridge/tree/node.h"
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
};

// A node as Results show it.
struct NodeValue {
  std::string uri;
  Format format = Format::kNode;
  std::string type;
  std::optional<std::string> value;  // Octets; nothing where only the structure was asked.
};

// The management tree of this device (OMA-TS-DM_TND): generic, made of mounted objects. Checks
// come in the order that tells least: URI (400, 414), ACL (425), existence (404), access type
// (405), format (415) and value (400). Errors are made by DmError() or come from the handlers.
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
  // sub-tree (`?list=Struct`, `?list=StructData`).
  absl::StatusOr<std::vector<NodeValue>> Get(const NodeRequest& request) const;

  // Replace: a leaf's value, or `?prop=ACL`.
  absl::Status Replace(const NodeRequest& request);

  // Add: a node, and what interior nodes above it are missing.
  absl::Status Add(const NodeRequest& request);

  // Delete: a node with all below.
  absl::Status Delete(const NodeRequest& request);

  // Exec.
  absl::StatusOr<ExecOutcome> Exec(const NodeRequest& request);

 private:
  struct Kind;
  struct Found;

  absl::StatusOr<Found> Parse(const NodeRequest& request) const;
  absl::StatusOr<Found> Resolve(const NodeRequest& request, absl::string_view command,
                                unsigned access) const;
  absl::Status Locate(Found& found) const;
  absl::StatusOr<NodeValue> ReadNode(const Found& found) const;
  absl::StatusOr<std::vector<std::string>> ChildNames(const Found& found) const;
  absl::StatusOr<std::optional<Found>> Child(const Found& parent, const std::string& name) const;
  absl::StatusOr<std::vector<NodeValue>> GetProperty(const NodeRequest& request) const;
  absl::StatusOr<std::vector<NodeValue>> GetList(const NodeRequest& request) const;
  absl::Status Collect(const Found& found, bool with_data, std::vector<NodeValue>& to) const;
  absl::Status ReplaceProperty(const NodeRequest& request);
  absl::Status MakeParents(const Found& found) const;

  AclStore& acls_;
  std::unique_ptr<Kind> root_;
};

}  // namespace virmo::dm_bridge
