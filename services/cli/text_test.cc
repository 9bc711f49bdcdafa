// SPDX-License-Identifier: Apache-2.0
// How values, tables and errors read.
#include <sstream>

#include "gmock/gmock.h"

#include "services/cli/completion.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/json.h"
#include "services/cli/progress.h"
#include "services/cli/table.h"
#include "services/cli/upload.h"
#include "services/cli/width.h"
#include "services/runtime/error.h"

namespace virmo::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

google::protobuf::Timestamp At(int64_t seconds) {
  google::protobuf::Timestamp timestamp;
  timestamp.set_seconds(seconds);
  return timestamp;
}

TEST(WidthTest, CountsColumnsRatherThanOctets) {
  EXPECT_EQ(DisplayWidth("abc"), 3U);
  EXPECT_EQ(DisplayWidth("Grüße"), 5U);
  EXPECT_EQ(DisplayWidth("電話"), 4U);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1U);         // e and a combining accent.
  EXPECT_EQ(DisplayWidth("\xF0\x9F\x9A\x80"), 2U);  // A rocket.
  EXPECT_EQ(DisplayWidth("한국어"), 6U);
}

TEST(WidthTest, PrintableKeepsTextAndDisarmsControl) {
  EXPECT_EQ(Printable("Grüße 電話"), "Grüße 電話");
  EXPECT_EQ(Printable("a\x1b[31m\n"), "a\\x1b[31m\\x0a");
  EXPECT_EQ(Printable("\xC2\x9B"
                      "2J"),
            "\\x9b2J");  // C1 CSI.
  EXPECT_EQ(Printable("a\xFF\xC0\xAF"), "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(Printable("a\xE2\x80\xAE"
                      "b"),
            "ab");  // Right-to-left override.
}

TEST(TableTest, AlignsWideCharactersAndPadsNoLastColumn) {
  Table table({"A", "B", "C"});
  table.Add({"電話", "x", "last"});
  table.Add({"ab", "longer", ""});

  EXPECT_EQ(table.Text(),
            "A     B       C\n"
            "電話  x       last\n"
            "ab    longer\n");
}

TEST(TableTest, PropertiesLeaveOutWhatIsEmpty) {
  EXPECT_EQ(PropertiesText({{"Name", "work"}, {"Detail", ""}, {"Description", "x"}}),
            "Name:         work\nDescription:  x\n");
}

TEST(FormatTest, TimesAreRelativeAndFutureOnesSaySo) {
  const absl::Time now = absl::FromUnixSeconds(1000000);
  EXPECT_EQ(Relative(At(1000000 - 12), now), "12 s ago");
  EXPECT_EQ(Relative(At(1000000 - 300), now), "5 min ago");
  EXPECT_EQ(Relative(At(1000000 - 3 * 3600), now), "3 h ago");
  EXPECT_EQ(Relative(At(1000000 - 5 * 86400), now), "5 d ago");
  EXPECT_EQ(Relative(At(1000000 + 600), now), "in 10 min");
  EXPECT_EQ(Relative(At(1000001), now), "0 s ago");
  EXPECT_EQ(Relative(At(0), now), "");
  EXPECT_EQ(Rfc3339(At(0)), "");
  EXPECT_EQ(Rfc3339(At(1000000)), "1970-01-12T13:46:40Z");
}

TEST(FormatTest, StatesAreWordsWithWhatStandsBeside) {
  v1::DeviceVirtualMachine vm;
  vm.set_state(30);
  EXPECT_EQ(StateOf(vm), "Running");
  vm.set_paused(true);
  vm.set_locked(true);
  vm.set_stale(true);
  EXPECT_EQ(StateOf(vm), "Running [paused] [locked] [stale]");
  vm = {};
  vm.set_state(90);
  EXPECT_EQ(StateOf(vm), "Updating firmware");
  vm.set_state(35);
  EXPECT_EQ(StateOf(vm), "State 35");
}

TEST(FormatTest, NamesSizesAndCodes) {
  EXPECT_EQ(LastPart("devices/phone-1"), "phone-1");
  EXPECT_EQ(PartAfter("devices/phone-1/commands/7", "devices"), "phone-1");
  EXPECT_EQ(PartAfter("devices/phone-1", "commands"), "");
  EXPECT_EQ(FullName("devices", "phone-1"), "devices/phone-1");
  EXPECT_EQ(FullName("devices", "devices/phone-1"), "devices/phone-1");
  EXPECT_EQ(Bytes(100), "100 B");
  EXPECT_EQ(Bytes(33030144), "31.5 MiB");
  EXPECT_EQ(ResultWord(1200), "ok");
  EXPECT_EQ(ResultWord(1420), "1420 vm locked");
  EXPECT_EQ(ResultWord(1400), "1400");  // Several reasons have it.
}

TEST(ImageIdTest, IsMadeOfTheFilesNameAsTheServerWantsIt) {
  EXPECT_EQ(ImageIdOf("/tmp/Guest Image (1).qcow2"), "guest-image-1-.qcow2");
  EXPECT_EQ(ImageIdOf("alpine-3.19.img"), "alpine-3.19.img");
  EXPECT_EQ(ImageIdOf("..."), "");
  EXPECT_EQ(ImageIdOf(std::string(80, 'a')).size(), 63U);
}

TEST(ExitCodeTest, FollowsTheStatusCode) {
  using Reason = v1::ErrorInfo;
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), ExitCode::kOk);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_INVALID_ARGUMENT, "")), ExitCode::kUsage);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_VM_NOT_FOUND, "")), ExitCode::kNotFound);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_VM_LOCKED, "")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_BUSY, "")), ExitCode::kRefused);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_SERVICE_UNAVAILABLE, "")), ExitCode::kUnreachable);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_TIMED_OUT, "")), ExitCode::kTimedOut);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_CALLER_NOT_ALLOWED, "")), ExitCode::kNotAllowed);
  EXPECT_EQ(ExitCodeOf(Error(Reason::REASON_INTERNAL, "")), ExitCode::kInternal);
  EXPECT_EQ(ExitCodeOf(WithExitCode(absl::InternalError(""), ExitCode::kCancelled)),
            ExitCode::kCancelled);
}

TEST(ExitCodeTest, EveryReasonHasAnExitCodeOfItsOwnKindNeverZero) {
  const auto& reasons = *v1::ErrorInfo::Reason_descriptor();
  for (int i = 1; i < reasons.value_count(); ++i) {
    const auto reason = static_cast<v1::ErrorInfo::Reason>(reasons.value(i)->number());
    EXPECT_NE(ExitCodeOf(Error(reason, "x")), ExitCode::kOk) << reasons.value(i)->name();
  }
}

TEST(OutcomeTest, FailureOnTheDeviceIsOneWhateverItsReason) {
  v1::Command command;
  command.set_state(v1::Command::STATE_FAILED);
  command.set_result_code(1421);
  command.set_dm_status(404);

  const absl::Status outcome = OutcomeOf(command, "start vm \"x\" on \"y\"");

  EXPECT_EQ(ExitCodeOf(outcome), ExitCode::kFailedOnDevice);
  EXPECT_EQ(ReasonName(outcome), "VM_NOT_FOUND");
  EXPECT_THAT(std::string(outcome.message()), HasSubstr("result 1421, DM status 404"));
}

TEST(OutcomeTest, AmbiguousResultCodesAreToldApartByTheDmStatusOrNotAtAll) {
  EXPECT_EQ(ReasonOfResult(1400, 418), v1::ErrorInfo::REASON_ALREADY_EXISTS);
  EXPECT_EQ(ReasonOfResult(1400, 412), v1::ErrorInfo::REASON_UNSPECIFIED);
  EXPECT_EQ(ReasonOfResult(0, 0), v1::ErrorInfo::REASON_UNSPECIFIED);
}

TEST(HintTest, NamesTheDeviceAndTheVmSoThatItCanBeTyped) {
  const absl::Status locked = Error(v1::ErrorInfo::REASON_VM_LOCKED, "locked");

  EXPECT_EQ(HintOf(WithNamesInHint(locked, "phone-1", "my games")),
            "unlock it first: virmo vm unlock phone-1 'my games'");
  EXPECT_EQ(HintOf(WithNamesInHint(locked, "phone-1", "it's")),
            "unlock it first: virmo vm unlock phone-1 'it'\\''s'");
  EXPECT_TRUE(WithNamesInHint(absl::OkStatus(), "a", "b").ok());
}

TEST(JsonTest, KeepsFieldNamesAndShowsDefaults) {
  v1::Device device;
  device.set_name("devices/a");
  EXPECT_THAT(ToJson(device), HasSubstr("\"display_name\": \"\""));
  EXPECT_THAT(ToJsonLine(device), Not(HasSubstr(" \n ")));
  EXPECT_EQ(ToJson(std::vector<const google::protobuf::Message*>()), "[]\n");
}

TEST(ProgressTest, WritesALineAtEveryTenthOfTheWay) {
  std::ostringstream out;
  {
    Progress progress(out, Progress::Style::kLines);
    for (int percent = 0; percent <= 100; ++percent) progress.Set("x", percent, "");
  }
  const std::string text = out.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10) << text;  // 10, 20 … 100.
}

TEST(ProgressTest, DrawsABarOverItselfAndTakesItAwayAtTheEnd) {
  std::ostringstream out;
  {
    Progress progress(out, Progress::Style::kBar);
    progress.Set("x", 50, "half");
  }
  EXPECT_THAT(out.str(), HasSubstr("[###############...............]  50 %"));
  EXPECT_THAT(out.str(), Not(HasSubstr("\n")));
  EXPECT_EQ(out.str().back(), '\r');
}

TEST(CompletionPointTest, CountsPositionalsWithoutOptionsAndTheirValues) {
  const CompletionPoint point = FindCompletionPoint(
      {"--server", "unix:/a", "vm", "lock", "--reason", "lost", "phone-1", "-q", ""},
      AllCommands());

  ASSERT_NE(point.command, nullptr);
  EXPECT_EQ(point.command->path, "vm lock");
  ASSERT_NE(point.wanted, nullptr);
  EXPECT_EQ(point.wanted->kind, Kind::kVirtualMachine);
  EXPECT_THAT(point.globals, testing::ElementsAre("--server", "unix:/a"));
}

TEST(CommandTableTest, NamesAreUniqueAndEverythingIsExplained) {
  std::set<std::string> paths;
  for (const Command& command : AllCommands()) {
    EXPECT_TRUE(paths.insert(command.path).second) << command.path;
    EXPECT_NE(command.summary, "") << command.path;
    std::set<std::string> names;
    for (const Parameter& parameter : command.parameters) {
      EXPECT_NE(parameter.help, "") << command.path << " " << parameter.name;
      EXPECT_TRUE(names.insert(KeyOf(parameter)).second) << command.path;
      EXPECT_EQ(parameter.kind == Kind::kChoice, !parameter.choices.empty());
    }
  }
}

}  // namespace
}  // namespace virmo::cli
