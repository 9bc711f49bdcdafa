// SPDX-License-Identifier: Apache-2.0
// Keeps README.md's conformance tables true. `VIRMO_UPDATE=1 dm_bridge_conformance_test` writes the
// table of nodes anew, from what is mounted.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "dm-bridge/objects/account_object.h"
#include "dm-bridge/objects/standard_objects.h"
#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/testing/test_tree.h"
#include "dm-bridge/tree/ddf.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"

namespace virmo::dm_bridge {
namespace {

constexpr char kBegin[] = "<!-- nodes: written by conformance_test -->\n";
constexpr char kEnd[] = "<!-- end of nodes -->";

// The nodes of the VirMO tree profile that are not mounted are listed too, with `no`. A group
// stands for all below it.
const std::set<std::string>& Profile() {
  static const std::set<std::string> profile = {
      "VirMO/Host/MaxVMs",         "VirMO/Ext",
      "VirMO/DataSharing/Default", "VirMO/Provision/*/PkgData",
      "VirMO/VMs/*/Ext",           "VirMO/VMs/*/Resources/Network",
      "VirMO/VMs/*/Peripherals",   "VirMO/VMs/*/DataSharing",
      "VirMO/VMs/*/Firmware",      "VirMO/VMs/*/MOs",
      "VirMO/VMs/*/GuestDM",       "VirMO/Fanout"};
  return profile;
}

std::string AccessOf(const NodeType& type) {
  std::vector<std::string> words;
  if ((type.access & kAdd) != 0) words.push_back("Add");
  if ((type.access & kDelete) != 0) words.push_back("Delete");
  if ((type.access & kExec) != 0) words.push_back("Exec");
  if ((type.access & kGet) != 0) words.push_back("Get");
  if ((type.access & kReplace) != 0) words.push_back("Replace");
  return absl::StrJoin(words, ", ");
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string ReadmePath() { return absl::StrCat(VIRMO_SOURCE_DIR, "/dm-bridge/README.md"); }

class ConformanceTest : public ::testing::Test {
 protected:
  ConformanceTest()
      : database_(*Database::Open(
            folder_ / "test.db",
            {AclStore::GetSchema(), AccountStore::GetSchema(), SettingsStore::GetSchema(),
             ProvisionStore::GetSchema(), TransferStore::GetSchema(), AccountObject::GetSchema()})),
        acls_(*AclStore::Open(*database_)),
        accounts_(*database_),
        settings_(*database_),
        provisions_(*database_),
        transfers_(*database_),
        object_(*database_, accounts_, *acls_, "urn:own"),
        channel_(grpc::CreateChannel(absl::StrCat("unix:", folder_ / "none.sock"),
                                     grpc::InsecureChannelCredentials())),
        view_(channel_, channel_,
              {.on_service = [](const std::string&, const absl::Status&) {},
               .on_operation = [](const v1::OperationEvent&) {}}),
        tree_(*acls_) {
    tree_.Mount(MakeDevInfoObject({}, accounts_));
    tree_.Mount(MakeDevDetailObject({}));
    tree_.Mount(object_.MakeObject());
    tree_.Mount(MakeInboxObject());
    tree_.Mount(MakeVirmoObject(view_, settings_, provisions_, transfers_));
  }

  std::string NodeTable() {
    std::map<std::string, std::string> rows;
    for (const auto& [path, type] : tree_.Kinds()) {
      rows[path] = absl::StrCat("| `./", path, "` | ", Name(type->format), " | ", AccessOf(*type),
                                " | yes |");
    }
    for (const std::string& path : Profile()) {
      if (rows.count(path) == 0) rows[path] = absl::StrCat("| `./", path, "` | | | no |");
    }
    std::string table = "| node | format | access | supported |\n|---|---|---|---|\n";
    for (const auto& [path, row] : rows) absl::StrAppend(&table, row, "\n");
    return table;
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AclStore> acls_;
  AccountStore accounts_;
  SettingsStore settings_;
  ProvisionStore provisions_;
  TransferStore transfers_;
  AccountObject object_;
  std::shared_ptr<grpc::Channel> channel_;
  DeviceView view_;
  Tree tree_;
};

TEST_F(ConformanceTest, TheReadmeListsEveryNodeAsItIs) {
  std::string readme = ReadAll(ReadmePath());
  const size_t begin = readme.find(kBegin);
  const size_t end = readme.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t from = begin + std::string(kBegin).size();
  const std::string table = NodeTable();
  if (std::getenv("VIRMO_UPDATE") != nullptr) {
    readme.replace(from, end - from, table);
    std::ofstream(ReadmePath()) << readme;
  } else {
    EXPECT_EQ(readme.substr(from, end - from), table)
        << "write it anew: VIRMO_UPDATE=1 dm_bridge_conformance_test";
  }
}

// Every test that stands in a table of the README is there, in some *_test.cc.
TEST_F(ConformanceTest, EveryTestThatTheReadmeNamesExists) {
  std::string sources;
  for (const char* folder : {"dm-bridge", "services", "tests"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             absl::StrCat(VIRMO_SOURCE_DIR, "/", folder))) {
      const std::string path = entry.path().string();
      if (absl::EndsWith(path, "_test.cc")) sources += ReadAll(path);
    }
  }
  std::set<std::string> tests;
  const std::regex definition(R"(TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\))");
  for (std::sregex_iterator at(sources.begin(), sources.end(), definition), last; at != last;
       ++at) {
    tests.insert(absl::StrCat((*at)[1].str(), ".", (*at)[2].str()));
  }
  ASSERT_GT(tests.size(), 100u);
  const std::string readme = ReadAll(ReadmePath());
  const std::regex name(R"(`(\w+Test\.\w+)`)");
  int named = 0;
  for (std::sregex_iterator at(readme.begin(), readme.end(), name), last; at != last; ++at) {
    EXPECT_EQ(tests.count((*at)[1].str()), 1u) << (*at)[1].str();
    ++named;
  }
  EXPECT_GT(named, 20);
}

// Each row of a conformance table that says `yes` names a test; one that says `no` says why.
TEST_F(ConformanceTest, EveryRowHasATestOrAReason) {
  int rows = 0;
  for (const absl::string_view line : absl::StrSplit(ReadAll(ReadmePath()), '\n')) {
    std::vector<std::string> cells;
    for (const absl::string_view cell : absl::StrSplit(line, '|')) {
      cells.emplace_back(absl::StripAsciiWhitespace(cell));
    }
    if (cells.size() != 7 || (cells[3] != "M" && cells[3] != "O")) continue;
    ++rows;
    EXPECT_THAT(cells[4], ::testing::AnyOf("yes", "no")) << line;
    EXPECT_EQ(absl::StrContains(cells[5], "Test."), cells[4] == "yes") << line;
    EXPECT_FALSE(cells[5].empty()) << line;
  }
  EXPECT_GT(rows, 40);
}

TEST_F(ConformanceTest, TheDescriptionIsValidAndHoldsEveryNodeThatIsMounted) {
  const syncml::DdfDocument document = DescribeTree(tree_, "Example", "Box");
  size_t nodes = 0;
  const std::function<void(const syncml::DdfNode&)> count = [&](const syncml::DdfNode& node) {
    ++nodes;
    for (const syncml::DdfNode& child : node.children) count(child);
  };
  for (const syncml::DdfNode& node : document.nodes) count(node);
  EXPECT_EQ(nodes, tree_.Kinds().size());
  std::ofstream(folder_ / "ddf.xml") << syncml::WriteDdf(document);
  const std::string command =
      absl::StrCat("xmllint --noout --nonet --dtdvalid ", VIRMO_SOURCE_DIR,
                   "/services/syncml/testing/dm_ddf.dtd ", folder_ / "ddf.xml");
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace virmo::dm_bridge
