// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/program.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/child_process.h"
#include "services/runtime/files.h"
#include "services/runtime/logging.h"
#include "services/runtime/testing.h"
#include "virmo/config/v1/alert_emitter_config.pb.h"

namespace virmo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ProgramTest : public ::testing::Test {
 protected:
  // Runs the test process to its end.
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), VIRMO_TEST_PROCESS);
    testing::ChildProcess child(arguments, dir_ / "output");
    const int code = child.Wait();
    output_ = child.Output();
    return code;
  }

  std::string Config(const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(dir_ / "config.textproto", text, 0600).ok());
    return dir_ / "config.textproto";
  }

  testing::TempDir dir_;
  std::string output_;
};

TEST_F(ProgramTest, AnUnknownFieldIsReportedWithFileLineAndColumn) {
  const std::string config = Config("listener {\n  adress: \"unix:/x\"\n}\n");

  EXPECT_EQ(Run({"--config", config}), 2);

  EXPECT_THAT(output_, HasSubstr(config + ":2:"));
  EXPECT_THAT(output_, HasSubstr("adress"));
}

TEST_F(ProgramTest, AWrongLogLevelIsAConfigurationError) {
  EXPECT_EQ(Run({"--check_config", "--config=" + Config("logging { level: \"loud\" }")}), 2);

  EXPECT_THAT(output_, HasSubstr("logging.level"));
  EXPECT_THAT(output_, HasSubstr("loud"));
}

TEST_F(ProgramTest, UnknownArgumentsAreRefused) {
  EXPECT_EQ(Run({"--confg", "x"}), 2);
  EXPECT_THAT(output_, HasSubstr("--confg"));
  EXPECT_EQ(Run({"extra"}), 2);
  EXPECT_EQ(Run({"--config"}), 2);
  EXPECT_EQ(Run({"--config="}), 2);
}

TEST_F(ProgramTest, AConfigurationThatWasNamedMustExist) {
  EXPECT_EQ(Run({"--config", dir_ / "none"}), 2);

  EXPECT_THAT(output_, HasSubstr(dir_ / "none"));
}

TEST_F(ProgramTest, PrintConfigShowsDefaultsAndWhatTheFileChanged) {
  EXPECT_EQ(Run({"--print_config", "--config", Config("logging { level: \"warn\" }")}), 0);

  EXPECT_THAT(output_, HasSubstr("unix:/run/virmo/test-process.sock"));
  EXPECT_THAT(output_, HasSubstr("level: \"warn\""));
  const std::string printed = output_;
  EXPECT_EQ(Run({"--check_config", "--config", Config(printed.substr(0, printed.find("\n\n")))}),
            0);
}

TEST_F(ProgramTest, HelpShowsOnlyOurFlags) {
  EXPECT_EQ(Run({"--help"}), 0);

  EXPECT_THAT(output_, HasSubstr("test-process: Serves nothing"));
  EXPECT_THAT(output_, HasSubstr("--check_config"));
  EXPECT_THAT(output_, HasSubstr("/etc/virmo/test-process.textproto"));
  EXPECT_THAT(output_, Not(HasSubstr("--flagfile")));
}

TEST_F(ProgramTest, VersionIsPrinted) {
  EXPECT_EQ(Run({"--version"}), 0);

  EXPECT_THAT(output_, ::testing::MatchesRegex("test-process [0-9.]+\n"));
}

TEST_F(ProgramTest, AFailureToStartExitsWith1AndSaysWhy) {
  EXPECT_EQ(Run({"--config", Config("listener { address: \"0.0.0.0:0\" }")}), 1);

  EXPECT_THAT(output_, HasSubstr("not a loopback address"));
}

TEST(LoggingTest, LevelsCanBeChangedAndUnknownOnesAreRefused) {
  config::v1::Logging config;
  config.set_level("warn");
  ASSERT_TRUE(StartLogging(config, "test").ok());
  EXPECT_EQ(LogLevel(), "warn");

  EXPECT_TRUE(SetLogLevel("debug").ok());
  EXPECT_FALSE(SetLogLevel("loud").ok());
  EXPECT_FALSE(SetLogLevel("").ok());

  EXPECT_EQ(LogLevel(), "debug");
}

}  // namespace
}  // namespace virmo
