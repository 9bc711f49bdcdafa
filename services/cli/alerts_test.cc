// SPDX-License-Identifier: Apache-2.0
// virmo alerts, virmo local, completion: the real program against fakes.
#include <signal.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

#include "services/cli/program_fixture.h"

namespace virmo::cli {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class AlertsTest : public ProgramTest {
 protected:
  void GivenAlerts(int first, int last) {
    for (int i = first; i <= last; ++i) {
      v1::DeviceAlert alert;
      alert.set_name(absl::StrCat("devices/phone-1/alerts/", i));
      alert.set_sequence(i);
      alert.set_type("urn:oma:at:virmo:1.0:Start");
      alert.set_result_code(i % 2 == 0 ? 1420 : 1200);
      alert.set_state(30);
      fleet_.AddAlert(alert);
    }
  }

  static std::vector<std::string> Lines(const std::string& text) {
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }
};

TEST_F(AlertsTest, AreListedWithWordsForCodes) {
  GivenAlerts(1, 2);

  const Result result = Virmo({"alerts"});

  EXPECT_THAT(result.out, HasSubstr("Start"));
  EXPECT_THAT(result.out, HasSubstr("Running"));
  EXPECT_THAT(result.out, HasSubstr("ok"));
  EXPECT_THAT(result.out, HasSubstr("1420 vm locked"));
}

TEST_F(AlertsTest, ShowTheNewestUpToALimitAndThoseSinceANumber) {
  GivenAlerts(1, 9);

  EXPECT_THAT(Lines(Virmo({"alerts", "-q", "--limit", "2"}).out), ElementsAre("8", "9"));
  EXPECT_THAT(Lines(Virmo({"alerts", "-q", "--since", "6"}).out), ElementsAre("7", "8", "9"));
}

TEST_F(AlertsTest, FollowGoesOnThroughABreakWithoutLossOrRepeat) {
  GivenAlerts(1, 3);
  fleet_.BreakAlertsAfter(2);
  const auto program = StartVirmo({"alerts", "--follow", "--since", "0", "-q"});
  program->WaitForOutput("3\n");

  program->Signal(SIGINT);

  const Result result = program->Finish();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(Lines(result.out), ElementsAre("1", "2", "3"));
  EXPECT_EQ(fleet_.watches(), 2);
}

TEST_F(AlertsTest, FollowBeginsWithTheNewestAndWritesJsonLines) {
  GivenAlerts(1, 12);
  const auto program = StartVirmo({"alerts", "-f", "-o", "json"});
  program->WaitForOutput("\"sequence\":\"12\"");
  program->Signal(SIGINT);

  const std::vector<std::string> lines = Lines(program->Finish().out);

  ASSERT_EQ(lines.size(), 10U);
  EXPECT_EQ(json::parse(lines[0])["sequence"], "3");
}

TEST_F(AlertsTest, FollowEndsInTimeWithoutAFailure) {
  EXPECT_EQ(Virmo({"alerts", "-f", "--timeout", "200ms"}).exit_code, 0);
}

class LocalTest : public ProgramTest {
 protected:
  static constexpr char kId[] = "11111111-0000-4000-8000-000000000000";
  LocalTest() {
    controller_.vm.set_name(std::string("virtualMachines/") + kId);
    controller_.vm.set_display_name("work");
    controller_.vm.set_state(v1::VirtualMachine::STATE_RUNNING);
    controller_.vm.set_paused_by_lock(true);
  }
  std::string socket() const { return PathOf("server.sock"); }
};

TEST_F(LocalTest, VmsOfTheControllerAreShown) {
  const Result result = Virmo({"local", "vms", "--socket", socket()});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("work  Running [paused by lock]"));
  EXPECT_EQ(Virmo({"local", "vm", kId, "--socket", "unix:" + socket()}).exit_code, 0);
  EXPECT_EQ(Virmo({"local", "vm", "work", "--socket", socket(), "-q"}).out,
            std::string(kId) + "\n");
  EXPECT_EQ(Virmo({"local", "vm", "none", "--socket", socket()}).exit_code, 3);
}

TEST_F(LocalTest, TheSocketMayStandBeforeTheCommand) {
  const Result result = Virmo({"local", "--socket", socket(), "-o", "json", "vm", kId});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json::parse(result.out)["display_name"], "work");
}

TEST_F(LocalTest, ConsoleShowsWhatTheGuestWritesUntilItsTimeIsOver) {
  const Result result = Virmo({"local", "console", kId, "--seconds", "1", "--socket", socket()});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "login: \x1b[0m\n");
}

TEST_F(LocalTest, ConsoleOfALockedVmIsRefused) {
  controller_.vm.set_locked(true);

  const Result result = Virmo({"local", "console", kId, "--socket", socket()});

  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("(VM_LOCKED)"));
}

TEST_F(LocalTest, StatusTellsWhoServesAndWhoIsAway) {
  process_.process.set_version("0.1.0");
  ASSERT_EQ(Bash("cd " + folder() + " && ln -s server.sock vm-controller.sock").exit_code, 0);

  const Result result = Virmo({"local", "status", "--socket", folder(), "-o", "json"});

  EXPECT_EQ(result.exit_code, 5);
  const json list = json::parse(result.out);
  ASSERT_EQ(list.size(), 4U);
  EXPECT_EQ(list[0]["health"], "not reachable");
  EXPECT_EQ(list[1]["process"], "vm-controller");
  EXPECT_EQ(list[1]["health"], "serving");
  EXPECT_EQ(list[1]["version"], "0.1.0");
}

TEST_F(LocalTest, StatusOfAllSucceedsAndTellsDegradations) {
  process_.process.add_degradations("libvirt: not reachable");
  ASSERT_EQ(Bash("cd " + folder() +
                 " && for p in vm-controller dm-bridge policy-engine "
                 "alert-emitter; do ln -s server.sock $p.sock; done")
                .exit_code,
            0);

  const Result result = Virmo({"local", "status", "--socket", folder()});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("degraded"));
  EXPECT_THAT(result.out, HasSubstr("libvirt: not reachable"));
}

TEST_F(LocalTest, LogLevelIsSetAndToldBack) {
  const Result result =
      Virmo({"local", "log-level", "vm-controller", "debug", "--socket", socket()});

  EXPECT_EQ(result.out, "vm-controller logs debug until it ends\n");
}

class CompletionTest : public ProgramTest {
 protected:
  CompletionTest() {
    GivenDevice("phone-1");
    GivenDevice("phone-2");
    GivenDevice("tablet");
    GivenVm("phone-1", "11111111-0000-4000-8000-000000000000", "work");
    GivenVm("phone-1", "22222222-0000-4000-8000-000000000000", "my games");
    GivenVm("tablet", "33333333-0000-4000-8000-000000000000", "other");
  }

  // What Tab offers in bash after `line`, whose last word is the one being written. `:` and `=`
  // stand apart, as bash sets them.
  std::vector<std::string> Tab(const std::string& line) {
    const Result result = Bash(
        "source <(virmo completion bash)\n"
        "IFS=' ' read -ra COMP_WORDS <<< '" +
        line +
        "'\n"
        "[[ '" +
        line +
        "' == *' ' ]] && COMP_WORDS+=('')\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        "_virmo\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\"");
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  }
};

TEST_F(CompletionTest, OffersCommands) {
  EXPECT_THAT(Tab("virmo t"), ElementsAre("tree"));
  EXPECT_THAT(Tab("virmo vm su"), ElementsAre("suspend"));
  EXPECT_THAT(Tab("virmo image "), ElementsAre("delete", "inspect", "list", "show", "upload"));
  EXPECT_THAT(Tab("virmo -o json device e"), ElementsAre("enrol"));
}

TEST_F(CompletionTest, OffersOptionsAndTheirChoices) {
  EXPECT_THAT(Tab("virmo vm lock --re"), ElementsAre("--reason"));
  EXPECT_THAT(Tab("virmo vm lock phone-1 work --mode "),
              ElementsAre("isolate", "pause", "suspend"));
  EXPECT_THAT(Tab("virmo -o "), ElementsAre("json", "table"));
}

TEST_F(CompletionTest, OffersDevicesVmsAndImagesThatTheServerKnows) {
  WriteAll(PathOf("guest.qcow2"), "octets");
  ASSERT_EQ(Virmo({"image", "upload", PathOf("guest.qcow2")}).exit_code, 0);

  EXPECT_THAT(Tab("virmo vm list ph"), ElementsAre("phone-1", "phone-2"));
  EXPECT_THAT(Tab("virmo vm start phone-1 "), ElementsAre("my\\ games", "work"));
  EXPECT_THAT(Tab("virmo vm start phone-1 1111"),
              ElementsAre("11111111-0000-4000-8000-000000000000"));
  EXPECT_THAT(Tab("virmo vm provision tablet --image "), ElementsAre("guest.qcow2"));
  EXPECT_THAT(Tab("virmo vm stop --force tablet "), ElementsAre("other"));
}

TEST_F(CompletionTest, JoinsWhatBashSplitsAndUnquotes) {
  EXPECT_THAT(Tab("virmo --output = j"), ElementsAre("json"));
  EXPECT_THAT(Tab("virmo vm lock phone-1 work --mode = is"), ElementsAre("isolate"));
  EXPECT_THAT(Tab("virmo --server unix : /nowhere vm list ph"), ElementsAre());
  EXPECT_THAT(Tab("virmo --server unix : " + folder() + "/server.sock vm list ta"),
              ElementsAre("tablet"));
  EXPECT_THAT(Tab("virmo vm start phone-1 \"my"), ElementsAre("my\\ games"));
}

TEST_F(CompletionTest, OffersFilesWhereAFileIsWanted) {
  WriteAll(PathOf("disk.img"), "x");

  EXPECT_THAT(Tab("virmo image upload " + folder() + "/di"), ElementsAre(PathOf("disk.img")));
}

TEST_F(CompletionTest, KnowsOptionsThatStandBeforeTheCommand) {
  WriteAll(PathOf("a.sock"), "");

  EXPECT_THAT(Tab("virmo local --socket " + folder() + "/a"), ElementsAre(PathOf("a.sock")));
  EXPECT_THAT(Tab("virmo local --socket /x vm"), ElementsAre("vm", "vms"));
}

TEST_F(CompletionTest, OffersNothingAndSaysNothingWithoutAServer) {
  StopServing();

  EXPECT_THAT(Tab("virmo vm list "), ElementsAre());
}

}  // namespace
}  // namespace virmo::cli
