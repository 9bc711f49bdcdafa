// SPDX-License-Identifier: Apache-2.0
// The program while a device does what it was told: timeline, progress, breaks, exit codes.
#include <signal.h>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

#include "services/cli/program_fixture.h"

namespace virmo::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class WaitTest : public ProgramTest {
 protected:
  WaitTest() {
    GivenDevice("phone-1");
    fleet_.script = {
        {.state = v1::Command::STATE_NOTIFIED},
        {.state = v1::Command::STATE_FETCHED},
        {.state = v1::Command::STATE_ACCEPTED, .dm_status = 202},
        {.state = v1::Command::STATE_APPLIED, .result_code = 1200},
        {.state = v1::Command::STATE_CONFIRMED, .detail = "State is 30", .result_code = 1200}};
  }

  // The words that begin the lines of a timeline.
  static std::vector<std::string> Steps(const std::string& out) {
    std::vector<std::string> steps;
    for (absl::string_view line : absl::StrSplit(out, '\n')) {
      if (absl::StartsWith(line, "  ")) {
        line.remove_prefix(2);
        steps.emplace_back(line.substr(0, line.find(' ')));
      }
    }
    return steps;
  }

  const std::vector<std::string> whole_way_ = {"queued",   "notified", "fetched",
                                               "accepted", "applied",  "confirmed"};
};

TEST_F(WaitTest, StartShowsEachStepWithItsTimeAndSucceedsWhenConfirmed) {
  const Result result = Virmo({"vm", "start", "phone-1", "work"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, StartsWith("start vm \"work\" on \"phone-1\"  (command "));
  EXPECT_EQ(Steps(result.out), whole_way_);
  EXPECT_THAT(result.out, HasSubstr("State is 30"));
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(fleet_.Commands()[0].action().virtual_machine(), "work");
  EXPECT_TRUE(fleet_.Commands()[0].action().has_start());
}

TEST_F(WaitTest, AppliedIsEnoughWhenTheServerReadsNothingBack) {
  fleet_.script.pop_back();

  EXPECT_EQ(Virmo({"vm", "start", "phone-1", "work"}).exit_code, 0);
}

TEST_F(WaitTest, AnAppliedCommandCountsAsDoneWhenTheWaitForItsConfirmationEnds) {
  fleet_.script.pop_back();
  fleet_.never_ends = true;

  const Result result = Virmo({"vm", "start", "phone-1", "work", "--timeout", "300ms"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST_F(WaitTest, EveryVerbQueuesItsAction) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"start"}, "start {}"},
      {{"stop"}, "stop {}"},
      {{"stop", "--force"}, "stop { force: true }"},
      {{"suspend"}, "suspend {}"},
      {{"resume"}, "resume {}"},
      {{"pause"}, "pause {}"},
      {{"unpause"}, "unpause {}"},
      {{"lock", "--reason", "lost", "--mode", "suspend"},
       "lock { reason: \"lost\" mode: MODE_SUSPEND }"},
      {{"lock", "--mode", "pause"}, "lock { mode: MODE_ISOLATE_AND_PAUSE }"},
      {{"lock"}, "lock {}"},
      {{"unlock"}, "unlock {}"},
      {{"clone", "--name", "copy"}, "clone { display_name: \"copy\" }"},
      {{"delete", "--force"}, "delete { force: true }"},
  };
  for (const auto& [verb, expected] : cases) {
    std::vector<std::string> words = {"vm", verb[0], "phone-1", "work", "--no-wait", "-o", "json"};
    words.insert(words.end(), verb.begin() + 1, verb.end());
    const Result result = Virmo(words);
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const std::string name = json::parse(result.out)["name"];
    for (const v1::Command& command : fleet_.Commands()) {
      if (command.name() != name) continue;
      std::string text = command.action().ShortDebugString();
      text = std::string(absl::StripAsciiWhitespace(text));
      const std::string tight = text.substr(text.find("\"work\"") + 7);
      EXPECT_EQ(tight, expected.substr(0, expected.size() - 2) +
                           (absl::EndsWith(expected, "{}") ? "{ }" : " }"));
    }
  }
}

TEST_F(WaitTest, ALockedVmIsAFailureWithReasonAndAdvice) {
  fleet_.script = {{.state = v1::Command::STATE_FETCHED},
                   {.state = v1::Command::STATE_FAILED,
                    .detail = "the virtual machine is locked",
                    .result_code = 1420,
                    .dm_status = 403}};

  const Result result = Virmo({"vm", "start", "phone-1", "work"});

  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, StartsWith("virmo: cannot start vm \"work\" on \"phone-1\": the virtual "
                                     "machine is locked (VM_LOCKED)\n"));
  EXPECT_THAT(result.err, HasSubstr("\n  unlock it first: virmo vm unlock phone-1 work\n"));
  EXPECT_EQ(Steps(result.out), (std::vector<std::string>{"queued", "fetched", "failed"}));
}

TEST_F(WaitTest, AFailureWithJsonGivesTheCommandAndTheError) {
  fleet_.script = {{.state = v1::Command::STATE_FAILED, .result_code = 1409}};

  const Result result = Virmo({"vm", "start", "phone-1", "work", "-o", "json"});

  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(json::parse(result.out)["state"], "STATE_FAILED");
  EXPECT_EQ(json::parse(result.err)["error"]["reason"], "START_FAILED");
  EXPECT_EQ(json::parse(result.err)["error"]["metadata"]["result_code"], "1409");
}

TEST_F(WaitTest, ACancelledCommandExitsWithSeven) {
  fleet_.script = {{.state = v1::Command::STATE_CANCELLED}};

  EXPECT_EQ(Virmo({"vm", "start", "phone-1", "work"}).exit_code, 7);
}

TEST_F(WaitTest, ARefusedCommandIsNotQueued) {
  fleet_.FailNext(v1::ErrorInfo::REASON_VM_NOT_FOUND, "phone-1 has no vm \"work\"");

  const Result result = Virmo({"vm", "start", "phone-1", "work"});

  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("(VM_NOT_FOUND)"));
  EXPECT_EQ(fleet_.Commands().size(), 0U);
}

TEST_F(WaitTest, NoWaitPrintsTheCommandsIdAlone) {
  const Result result = Virmo({"vm", "start", "phone-1", "work", "--no-wait"});

  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, MatchesRegex("[0-9a-f-]{36}\n"));
  EXPECT_EQ(fleet_.watches(), 0);
}

TEST_F(WaitTest, ABrokenStreamIsOpenedAgainAndNoStepIsShownTwice) {
  fleet_.script[1].breaks_stream = true;
  fleet_.script[3].breaks_stream = true;

  const Result result = Virmo({"vm", "start", "phone-1", "work"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Steps(result.out), whole_way_);
  EXPECT_EQ(fleet_.watches(), 3);
  EXPECT_THAT(result.err, HasSubstr("lost the connection"));
}

TEST_F(WaitTest, AServerThatRestartsIsWaitedFor) {
  fleet_.script[1].breaks_stream = true;
  const auto program = StartVirmo({"vm", "start", "phone-1", "work"});
  program->WaitForOutput("fetched");

  StopServing();
  Serve();

  const Result result = program->Finish();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Steps(result.out), whole_way_);
}

TEST_F(WaitTest, TimeoutEndsTheWaitAndSaysHowToComeBack) {
  fleet_.script = {{.state = v1::Command::STATE_ACCEPTED}};
  fleet_.never_ends = true;

  const Result result = Virmo({"vm", "start", "phone-1", "work", "--timeout", "300ms"});

  EXPECT_EQ(result.exit_code, 6);
  EXPECT_THAT(result.err, HasSubstr("virmo command watch phone-1 "));
  EXPECT_THAT(Steps(result.out), testing::ElementsAre("queued", "accepted"));
}

TEST_F(WaitTest, CtrlCEndsTheWaitAndSaysHowToComeBack) {
  fleet_.script = {{.state = v1::Command::STATE_ACCEPTED}};
  fleet_.never_ends = true;
  const auto program = StartVirmo({"vm", "start", "phone-1", "work"});
  program->WaitForOutput("accepted");

  program->Signal(SIGINT);

  const Result result = program->Finish();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("virmo command watch phone-1 "));
}

TEST_F(WaitTest, ProvisionSendsItsSettingsShowsProgressAndPrintsTheNewId) {
  fleet_.script = {{.state = v1::Command::STATE_ACCEPTED},
                   {.state = v1::Command::STATE_ACCEPTED, .progress_percent = 12},
                   {.state = v1::Command::STATE_ACCEPTED, .progress_percent = 15},
                   {.state = v1::Command::STATE_ACCEPTED, .progress_percent = 88},
                   {.state = v1::Command::STATE_CONFIRMED, .result_code = 1200}};

  const Result result =
      Virmo({"vm", "provision", "phone-1", "--image", "guest.qcow2", "--name", "work", "--memory",
             "96", "--cpus", "2", "--start", "--id", "0b7c6e0e-43f5-4ba5-93b5-6d2d2b6d1a11"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("made 0b7c6e0e-43f5-4ba5-93b5-6d2d2b6d1a11\n"));
  EXPECT_THAT(result.err, HasSubstr("progress  12 %"));
  EXPECT_THAT(result.err, Not(HasSubstr("15 %")));
  EXPECT_THAT(result.err, HasSubstr("progress  88 %"));
  const v1::Action::Provision sent = fleet_.Commands()[0].action().provision();
  EXPECT_EQ(sent.image(), "images/guest.qcow2");
  EXPECT_EQ(sent.memory_mib(), 96);
  EXPECT_EQ(sent.cpu_count(), 2);
  EXPECT_TRUE(sent.start());
}

TEST_F(WaitTest, QuietProvisionPrintsTheNewIdAlone) {
  const Result result = Virmo({"vm", "provision", "phone-1", "--url", "http://a/b.img", "--sha256",
                               std::string(64, 'a'), "--type", "raw", "-q"});

  EXPECT_EQ(result.out, "0b7c6e0e-43f5-4ba5-93b5-6d2d2b6d1a11\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(fleet_.Commands()[0].action().provision().media_type(), "application/x-raw-disk-image");
}

TEST_F(WaitTest, CommandsAreListedShownWatchedAndCancelled) {
  const std::string id = std::string(absl::StripAsciiWhitespace(
      Virmo({"vm", "stop", "phone-1", "work", "--force", "--no-wait"}).out));

  EXPECT_THAT(Virmo({"command", "list"}).out, HasSubstr("stop (force)  work   queued"));
  EXPECT_EQ(Virmo({"command", "list", "phone-1", "-q"}).out, id + "\n");
  EXPECT_THAT(Virmo({"command", "show", "phone-1", id, "--brief"}).out, Not(HasSubstr("<Exec>")));
  EXPECT_THAT(Virmo({"command", "show", "phone-1", id}).out,
              HasSubstr("  <CmdID>7</CmdID></Exec>\n"));
  const Result watched = Virmo({"command", "watch", "phone-1", id});
  EXPECT_EQ(watched.exit_code, 0) << watched.err;
  EXPECT_EQ(Steps(watched.out), whole_way_);
  EXPECT_EQ(Virmo({"command", "cancel", "phone-1", id}).exit_code, 4);
  EXPECT_EQ(Virmo({"command", "watch", "phone-1", "none"}).exit_code, 3);
}

TEST_F(WaitTest, VmsAreListedWithTheirStateInWords) {
  GivenVm("phone-1", "11111111-0000-4000-8000-000000000000", "work");
  GivenVm("phone-1", "22222222-0000-4000-8000-000000000000", "home", 60);

  const Result result = Virmo({"vm", "list", "phone-1"});

  EXPECT_THAT(result.out, HasSubstr("work  Running"));
  EXPECT_THAT(result.out, HasSubstr("home  Suspended"));
}

TEST_F(WaitTest, AVmIsShownByNameAndByIdAndAnUnknownOneIsNotFound) {
  GivenVm("phone-1", "11111111-0000-4000-8000-000000000000", "work");
  GivenVm("phone-1", "22222222-0000-4000-8000-000000000000", "twin");
  GivenVm("phone-1", "33333333-0000-4000-8000-000000000000", "twin");

  EXPECT_THAT(Virmo({"vm", "show", "phone-1", "work"}).out, HasSubstr("11111111"));
  EXPECT_THAT(Virmo({"vm", "show", "phone-1", "22222222-0000-4000-8000-000000000000"}).out,
              HasSubstr("twin"));
  EXPECT_EQ(Virmo({"vm", "show", "phone-1", "twin"}).exit_code, 2);
  EXPECT_EQ(Virmo({"vm", "show", "phone-1", "play"}).exit_code, 3);
  EXPECT_EQ(Virmo({"vm", "show", "phone-2", "work"}).exit_code, 3);
}

TEST_F(WaitTest, TreeGetShowsWhatWasReadAndQuietlyTheBareValue) {
  v1::Command::NodeResult node;
  node.set_uri("./DevInfo/Man");
  node.set_format("chr");
  node.set_value("VirMO");
  node.set_dm_status(200);
  fleet_.node_results = {node};

  const Result result = Virmo({"tree", "get", "phone-1", "./DevInfo/Man"});

  EXPECT_EQ(result.out,
            "URI            FORMAT  STATUS  VALUE\n"
            "./DevInfo/Man  chr     200     VirMO\n");
  EXPECT_EQ(Virmo({"tree", "get", "phone-1", "./DevInfo/Man", "-q"}).out, "VirMO\n");
  EXPECT_EQ(
      json::parse(Virmo({"tree", "get", "phone-1", "./DevInfo/Man", "-o", "json"}).out)[0]["value"],
      "VirMO");
  EXPECT_EQ(fleet_.Commands()[0].action().get().uris(0), "./DevInfo/Man");
}

TEST_F(WaitTest, TreeGetReadsWhatTheServerTellsInTheDetail) {
  fleet_.script = {{.state = v1::Command::STATE_CONFIRMED,
                    .detail = "./DevInfo/Man = VirMO\n./DevInfo/Mod = a\nb = c",
                    .dm_status = 200}};

  const Result result = Virmo({"tree", "get", "phone-1", "./DevInfo/Man", "./DevInfo/Mod", "-q"});

  EXPECT_EQ(result.out, "VirMO\na\nb = c\n");
}

TEST_F(WaitTest, TreeSetSendsValueAndFormat) {
  ASSERT_EQ(Virmo({"tree", "set", "phone-1", "./VirMO/X", "7", "--format", "int"}).exit_code, 0);

  const v1::Action::Replace sent = fleet_.Commands()[0].action().replace();
  EXPECT_EQ(sent.uri(), "./VirMO/X");
  EXPECT_EQ(sent.value(), "7");
  EXPECT_EQ(sent.format(), "int");
}

}  // namespace
}  // namespace virmo::cli
