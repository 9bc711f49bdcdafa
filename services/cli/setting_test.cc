// SPDX-License-Identifier: Apache-2.0
// What the commands that change settings and trees ask of the server.
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "nlohmann/json.hpp"

#include "services/cli/program_fixture.h"

namespace virmo::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class SettingTest : public ProgramTest {
 protected:
  SettingTest() { GivenDevice("phone-1"); }

  // The action that the program queued, as text.
  std::string Action(std::vector<std::string> words) {
    words.insert(words.end(), {"--no-wait", "-q"});
    const Result result = Virmo(std::move(words));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    std::string text;
    google::protobuf::TextFormat::Printer printer;
    printer.SetSingleLineMode(true);
    if (!fleet_.Commands().empty()) printer.PrintToString(fleet_.Commands()[0].action(), &text);
    return text;
  }
};

TEST_F(SettingTest, SetSendsWhatWasGivenAlone) {
  EXPECT_EQ(Action({"vm", "set", "phone-1", "work", "--memory", "512", "--cpu-limit", "0"}),
            "virtual_machine: \"work\" set_resources { memory_mib: 512 cpu_limit: 0 } ");
}

TEST_F(SettingTest, SetWantsSomethingToChange) {
  EXPECT_EQ(Virmo({"vm", "set", "phone-1", "work"}).exit_code, 2);
}

TEST_F(SettingTest, PeripheralEnables) {
  EXPECT_EQ(Action({"vm", "peripheral", "enable", "phone-1", "work", "GPS", "--exclusive"}),
            "virtual_machine: \"work\" set_peripheral { peripheral_class: PERIPHERAL_CLASS_GPS "
            "enabled: true exclusive: true } ");
}

TEST_F(SettingTest, PeripheralRefusesAnUnknownClass) {
  EXPECT_EQ(Virmo({"vm", "peripheral", "enable", "phone-1", "work", "Toaster"}).exit_code, 2);
  EXPECT_EQ(Virmo({"vm", "peripheral", "enable", "phone-1", "work"}).exit_code, 2);
}

TEST_F(SettingTest, ShareDenies) {
  EXPECT_EQ(Action({"vm", "share", "phone-1", "work", "*", "--channel", "file", "--deny"}),
            "virtual_machine: \"work\" set_sharing { peer: \"*\" channel: CHANNEL_FILE direction: "
            "DIRECTION_BOTH } ");
}

TEST_F(SettingTest, TransferNamesBothEnds) {
  EXPECT_EQ(Action({"vm", "transfer", "phone-1", "work", "home", "--memory", "128"}),
            "virtual_machine: \"work\" transfer { to: \"home\" amounts { memory_mib: 128 } } ");
}

TEST_F(SettingTest, GrantReadsTheSecretFromAFileAndNotFromTheCommandLine) {
  WriteAll(PathOf("pin"), "4711\nrest");

  EXPECT_THAT(Action({"vm", "grant-unlock", "phone-1", "work", "--secret-file", PathOf("pin"),
                      "--attempts", "3", "--one-time"}),
              HasSubstr("grant { allowed: true method: METHOD_SECRET max_attempts: 3 one_time: "
                        "true } secret: \"4711\""));
  EXPECT_THAT(Virmo({"vm", "grant-unlock", "--help"}).out, Not(HasSubstr("--secret ")));
  EXPECT_EQ(
      Virmo({"vm", "grant-unlock", "phone-1", "work", "--secret-file", PathOf("none")}).exit_code,
      3);
}

TEST_F(SettingTest, GrantIsTakenBack) {
  EXPECT_EQ(Action({"vm", "grant-unlock", "phone-1", "work", "--revoke"}),
            "virtual_machine: \"work\" grant_user_unlock { } ");
}

TEST_F(SettingTest, FirmwareNeedsASource) {
  EXPECT_EQ(Action({"vm", "firmware", "phone-1", "work", "--image", "fw", "--version-text", "2"}),
            "virtual_machine: \"work\" update_firmware { image: \"images/fw\" version: \"2\" } ");
  EXPECT_EQ(Virmo({"vm", "firmware", "phone-1", "work"}).exit_code, 2);
}

TEST_F(SettingTest, TreeAtomicTakesAnOperationAWord) {
  EXPECT_EQ(
      Action({"tree", "atomic", "phone-1", "add:int ./A=1", "replace ./B?prop=ACL=Get=*",
              "delete ./C", "copy ./D ./E", "add ./F"}),
      "tree { mode: MODE_ATOMIC operations { verb: VERB_ADD uri: \"./A\" value: \"1\" format: "
      "\"int\" } operations { verb: VERB_REPLACE uri: \"./B?prop=ACL\" value: \"Get=*\" } "
      "operations { verb: VERB_DELETE uri: \"./C\" } operations { verb: VERB_COPY uri: "
      "\"./E\" source_uri: \"./D\" } operations { verb: VERB_ADD uri: \"./F\" format: "
      "\"node\" } } ");
  EXPECT_EQ(Virmo({"tree", "atomic", "phone-1", "frobnicate ./A"}).exit_code, 2);
}

TEST_F(SettingTest, TreeGetReadsWhatIsBelow) {
  EXPECT_EQ(Action({"tree", "get", "phone-1", "./A", "--list", "TNDS"}),
            "get { uris: \"./A?list=TNDS\" } ");
}

TEST_F(SettingTest, ProvisionPassesOnWhatAPackageWants) {
  EXPECT_EQ(Action({"vm", "provision", "phone-1", "--image", "web", "--encrypted", "--property",
                    "host=web", "--accept-eulas", "--deployment-option", "small"}),
            "provision { image: \"images/web\" encrypted: true deployment_option: \"small\" "
            "properties { key: \"host\" value: \"web\" } accept_eulas: true } ");
}

TEST_F(SettingTest, TheEscrowKeyIsALine) {
  EXPECT_EQ(Virmo({"server", "escrow-key"}).out, "a2V5\n");
  EXPECT_EQ(json::parse(Virmo({"server", "show", "-o", "json"}).out)["server_id"], "virmo-server");
}

TEST_F(SettingTest, TheShellCompletesClassesAndChannels) {
  EXPECT_THAT(Bash("virmo __complete vm peripheral enable phone-1 work USB").out,
              HasSubstr("USBStorage"));
}

}  // namespace
}  // namespace virmo::cli
