// SPDX-License-Identifier: Apache-2.0
// The real process against a DM server that shares no code with it: tests/integration/dm_peer.

#include "dm-bridge/testing/process_fixture.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class StrangerTest : public DmBridgeProcessTest {
 protected:
  // Starts the server on its own, and the bridge with it; says how it ended.
  int Run(const std::string& scenario, const std::string& account = "",
          const std::string& config = "") {
    const std::string port_file = folder_ / "url";
    const pid_t server = fork();
    if (server == 0) {
      if (freopen((folder_ / "stranger").c_str(), "w", stdout) == nullptr) _exit(127);
      execlp("python3", "python3", DM_PEER, scenario.c_str(), port_file.c_str(), nullptr);
      _exit(127);
    }
    std::string url;
    EXPECT_TRUE(Eventually([&] {
      std::ifstream file(port_file);
      return static_cast<bool>(std::getline(file, url));
    }));
    WriteConfig(url, account, config);
    StartBridgeAndWait();
    int status = 0;
    while (waitpid(server, &status, WNOHANG) == 0) {
      RunSession();
      absl::SleepFor(absl::Milliseconds(20));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  }
  std::string Said() {
    std::ifstream said(folder_ / "stranger");
    return std::string(std::istreambuf_iterator<char>(said), {});
  }
};

TEST_F(StrangerTest, ALongSessionWithMd5BothWays) {
  EXPECT_EQ(Run("full"), 0) << Said() << Log();
  EXPECT_THAT(Said(), Not(HasSubstr("FAIL")));
  EXPECT_EQ(device_.controller.log().size(), 1u);
  EXPECT_THAT(Log(), Not(HasSubstr("devsecret")));
}

TEST_F(StrangerTest, MacOverTheOctetsOfEachMessage) {
  EXPECT_EQ(Run("mac", "authentication: 'HMAC'"), 0) << Said() << Log();
}

TEST_F(StrangerTest, AServerOfDm12WithoutNamespaces) {
  EXPECT_EQ(Run("dm12"), 0) << Said() << Log();
}

}  // namespace
}  // namespace virmo::dm_bridge
