// SPDX-License-Identifier: Apache-2.0
// An Atomic on the nodes of ./VirMO/Config, in a process that is killed (SIGKILL) in the middle.

#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>

#include "dm-bridge/objects/virmo.h"
#include "dm-bridge/testing/test_tree.h"
#include "dm-bridge/tree/transaction.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace virmo::dm_bridge {
namespace {

struct ConfigTree {
  explicit ConfigTree(const std::string& path)
      : database(*Database::Open(path, {AclStore::GetSchema(), SettingsStore::GetSchema()})),
        acls(*AclStore::Open(*database)),
        settings(*database),
        tree(*acls) {
    ManagementObject object{.root = "VirMO", .nodes = {{.path = ""}}};
    for (NodeType& node : ConfigNodes(settings)) object.nodes.push_back(std::move(node));
    tree.Mount(object);
  }
  std::string Value(const std::string& name) {
    const auto values = tree.Get(TestTree::Request("./VirMO/Config/" + name));
    return values.ok() ? *values->front().value : std::string(values.status().message());
  }
  std::string All() {
    return absl::StrCat(Value("StopTimeout"), " ", Value("AlertServer"), " ", Value("NotifyUser"),
                        " ", Value("StopTimeout?prop=VerNo"), " ", Value("AlertServer?prop=ACL"));
  }

  std::unique_ptr<Database> database;
  std::unique_ptr<AclStore> acls;
  SettingsStore settings;
  Tree tree;
};

Change Replace(const std::string& name, const std::string& data) {
  return {.kind = Change::Kind::kReplace,
          .request = TestTree::Request("./VirMO/Config/" + name, data)};
}

// What the process that is killed does; run by the tests below only.
TEST(AtomicVictim, RunsAnAtomic) {
  const char* path = std::getenv("VIRMO_TEST_DATABASE");
  if (path == nullptr) GTEST_SKIP() << "run by AtomicKillTest";
  ConfigTree config(path);
  Transaction transaction(config.tree);
  for (const Change& change :
       {Replace("StopTimeout", "7"), Replace("AlertServer", "other"),
        Replace("AlertServer?prop=ACL", "Get=*"), Replace("NotifyUser", "true")}) {
    ASSERT_TRUE(transaction.Apply(change).ok());
  }
  if (std::getenv("VIRMO_TEST_FAILS") != nullptr) {
    ASSERT_FALSE(transaction.Apply(Replace("StopTimeout", "0")).ok());
    transaction.RollBack();
  } else {
    ASSERT_TRUE(transaction.Commit().ok());
  }
}

#ifdef VIRMO_FAULT_POINTS

// Runs the victim; returns whether it was killed.
bool RunVictim(const std::string& database, const std::string& fault, bool fails) {
  const std::string database_setting = "VIRMO_TEST_DATABASE=" + database;
  const std::string fault_setting = "VIRMO_FAULT=" + fault;
  std::vector<const char*> environment = {database_setting.c_str(), fault_setting.c_str()};
  if (fails) environment.push_back("VIRMO_TEST_FAILS=1");
  environment.push_back(nullptr);
  const char* arguments[] = {"victim", "--gtest_filter=AtomicVictim.*", nullptr};
  pid_t pid = 0;
  EXPECT_EQ(posix_spawn(&pid, "/proc/self/exe", nullptr, nullptr, const_cast<char**>(arguments),
                        const_cast<char**>(environment.data())),
            0);
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

struct KillCase {
  const char* fault;
  bool fails;
  const char* after;
};

class AtomicKillTest : public ::testing::TestWithParam<KillCase> {};

TEST_P(AtomicKillTest, AfterTheRestartAllIsAsBeforeOrAllIsDone) {
  TempFolder folder;
  const std::string path = folder / "test.db";
  {
    ConfigTree config(path);
    ASSERT_TRUE(config.tree.Replace(Replace("StopTimeout", "30").request).ok());
  }
  ASSERT_TRUE(RunVictim(path, GetParam().fault, GetParam().fails)) << GetParam().fault;
  ConfigTree config(path);
  EXPECT_EQ(config.All(), GetParam().after);
}

constexpr char kBefore[] = "30  false 1 ";
constexpr char kDone[] = "7 other true 2 Get=*";

INSTANTIATE_TEST_SUITE_P(Points, AtomicKillTest,
                         ::testing::Values(KillCase{"atomic.logged:1", false, kBefore},
                                           KillCase{"atomic.applied:1", false, kBefore},
                                           KillCase{"atomic.logged:3", false, kBefore},
                                           KillCase{"atomic.applied:4", false, kBefore},
                                           KillCase{"atomic.committed", false, kDone},
                                           KillCase{"atomic.undone:1", true, kBefore},
                                           KillCase{"atomic.undone:3", true, kBefore},
                                           KillCase{"atomic.undone:6", true, kBefore}));

#endif  // VIRMO_FAULT_POINTS

}  // namespace
}  // namespace virmo::dm_bridge
