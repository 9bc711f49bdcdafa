// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/objects/provision.h"
#include "dm-bridge/objects/settings.h"
#include "dm-bridge/objects/transfers.h"
#include "dm-bridge/tree/dm_error.h"
#include "dm-bridge/tree/tree.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"

namespace virmo::dm_bridge {

// A folder of a test's own, gone with it.
class TempFolder {
 public:
  TempFolder() : path_(absl::StrCat("/tmp/virmo-bridge-", NewUuid())) {
    std::filesystem::create_directories(path_);
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(const std::string& name) const { return absl::StrCat(path_, "/", name); }

 private:
  const std::string path_;
};

inline std::unique_ptr<Database> OpenTestDatabase(const TempFolder& folder) {
  return *Database::Open(
      folder / "test.db",
      {AclStore::GetSchema(), AccountStore::GetSchema(), SettingsStore::GetSchema(),
       ProvisionStore::GetSchema(), TransferStore::GetSchema()});
}

// A tree with one small object, `./T`, over a map: an int, a bool, octets, a secret, a read-only
// text, a text that is there only sometimes, items that servers make, and two things to Exec.
class TestTree {
 public:
  TestTree() : database_(OpenTestDatabase(folder_)), acls_(*AclStore::Open(*database_)) {
    tree_ = std::make_unique<Tree>(*acls_);
    tree_->Mount(MakeObject());
  }

  Tree& tree() { return *tree_; }
  // As after a crash: everything that is not durable, or the device's own, is gone.
  void Restart() {
    tree_.reset();
    acls_ = *AclStore::Open(*database_);
    tree_ = std::make_unique<Tree>(*acls_);
    tree_->Mount(MakeObject());
  }
  AclStore& acls() { return *acls_; }
  std::map<std::string, std::string> values = {
      {"./T/Number", "1"}, {"./T/Flag", "true"}, {"./T/Octets", std::string("a\0b", 3)}};
  bool sometimes = false;
  std::vector<Call> execs;
  std::function<absl::Status(const Call&)> on_write;  // May refuse it.

  static NodeRequest Request(const std::string& uri) {
    NodeRequest request;
    request.uri = uri;
    request.server_id = "srv";
    return request;
  }
  static NodeRequest Request(const std::string& uri, const std::string& data,
                             std::optional<std::string> format = std::nullopt) {
    NodeRequest request = Request(uri);
    request.data = data;
    request.format = std::move(format);
    return request;
  }
  std::string Value(const std::string& uri) {
    const auto values_or = tree_->Get(Request(uri));
    if (!values_or.ok()) return absl::StrCat("!", syncml::ToText(DmStatusOf(values_or.status())));
    return *values_or->front().value;
  }

 private:
  NodeType Stored(const std::string& path, Format format, unsigned access) {
    NodeType node{.path = path, .format = format, .access = access};
    node.read = [this](const Call& call) -> absl::StatusOr<std::string> {
      return values[call.uri];
    };
    node.write = [this](const Call& call) -> absl::Status {
      if (on_write) RETURN_IF_ERROR(on_write(call));
      values[call.uri] = call.value;
      return absl::OkStatus();
    };
    return node;
  }

  ManagementObject MakeObject() {
    ManagementObject object{.root = "T", .nodes = {}};
    std::vector<NodeType>& nodes = object.nodes;
    nodes.push_back({.path = "", .type = "urn:test:1.0"});
    nodes.push_back(Stored("Number", Format::kInt, kGet | kReplace));
    nodes.push_back(Stored("Flag", Format::kBool, kGet | kReplace));
    nodes.push_back(Stored("Octets", Format::kBin, kGet | kReplace));
    nodes.push_back(Stored("Secret", Format::kChr, kReplace));
    nodes.push_back(Stored("OneWay", Format::kInt, kGet | kReplace));
    nodes.back().irreversible = true;
    nodes.push_back(Stored("Fixed", Format::kChr, kGet));
    nodes.push_back(Stored("Sometimes", Format::kChr, kGet));
    nodes.back().present = [this](const Call&) -> absl::StatusOr<bool> { return sometimes; };
    nodes.push_back({.path = "Items", .access = kGet | kAdd});
    nodes.push_back(MakeItem());
    nodes.push_back(Stored("Items/*/Name", Format::kChr, kGet | kReplace));
    nodes.back().add = nodes.back().write;
    nodes.back().present = [this](const Call& call) -> absl::StatusOr<bool> {
      return values.count(call.uri) > 0;
    };
    nodes.push_back(MakeExec("Run", ExecOutcome::kAccepted));
    nodes.push_back(MakeExec("Quick", ExecOutcome::kDone));
    nodes.push_back({.path = "Unbuilt", .format = Format::kNull, .access = kExec});
    return object;
  }

  NodeType MakeItem() {
    NodeType item{.path = "Items/*", .access = kGet | kAdd | kDelete};
    item.present = [this](const Call& call) -> absl::StatusOr<bool> {
      return values.count("./T/Items/" + syncml::EscapeSegment(call.names[0])) > 0;
    };
    item.list = [this](const Call&) -> absl::StatusOr<std::vector<std::string>> {
      std::vector<std::string> names;
      for (const auto& [uri, value] : values) {
        const bool item_itself =
            uri.rfind("./T/Items/", 0) == 0 && uri.find('/', 10) == std::string::npos;
        if (item_itself) names.push_back(syncml::UnescapeSegment(uri.substr(10)));
      }
      return names;
    };
    item.add = [this](const Call& call) {
      values[call.uri] = "";
      return absl::OkStatus();
    };
    item.rename = [this](const Call& call) {
      std::map<std::string, std::string> renamed;
      const std::string to = "./T/Items/" + syncml::EscapeSegment(call.value);
      for (auto& [uri, value] : values) {
        const bool below = syncml::IsWithin(uri, call.uri);
        renamed[below ? to + uri.substr(call.uri.size()) : uri] = value;
      }
      values = renamed;
      return absl::OkStatus();
    };
    item.remove = [this](const Call& call) {
      for (auto at = values.begin(); at != values.end();) {
        at = syncml::IsWithin(at->first, call.uri) ? values.erase(at) : std::next(at);
      }
      return absl::OkStatus();
    };
    return item;
  }

  NodeType MakeExec(const std::string& name, ExecOutcome outcome) {
    NodeType node{.path = name, .format = Format::kNull, .access = kExec};
    node.exec = [this, outcome](const Call& call) -> absl::StatusOr<ExecOutcome> {
      execs.push_back(call);
      return outcome;
    };
    return node;
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AclStore> acls_;
  std::unique_ptr<Tree> tree_;
};

}  // namespace virmo::dm_bridge
