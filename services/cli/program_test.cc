// SPDX-License-Identifier: Apache-2.0
// The program as scripts and people see it: devices, images, usage, errors.
#include <sys/stat.h>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

#include "services/cli/program_fixture.h"

namespace virmo::cli {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST_F(ProgramTest, DeviceListIsATableOfAllPages) {
  GivenDevice("phone-1", "電話");
  GivenDevice("phone-2", "b");
  GivenDevice("phone-3", "c");

  const Result result = Virmo({"device", "list"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "DEVICE   NAME  MODEL  LAST SESSION  PENDING  LAST ERROR\n"
            "phone-1  電話         never         0\n"
            "phone-2  b            never         0\n"
            "phone-3  c            never         0\n");
}

TEST_F(ProgramTest, DeviceListAsJsonIsAnArrayWithOriginalFieldNames) {
  GivenDevice("phone-1", "a");
  GivenDevice("phone-2");

  const Result result = Virmo({"device", "list", "-o", "json"});

  const json list = json::parse(result.out);
  ASSERT_EQ(list.size(), 2U);
  EXPECT_EQ(list[0]["name"], "devices/phone-1");
  EXPECT_EQ(list[1]["display_name"], "");
  EXPECT_TRUE(list[0].contains("pending_commands"));
}

TEST_F(ProgramTest, AnEmptyListIsAnEmptyArray) {
  EXPECT_EQ(json::parse(Virmo({"-o", "json", "device", "list"}).out), json::array());
}

TEST_F(ProgramTest, QuietListsPrintIdsAlone) {
  GivenDevice("phone-1", "a");
  GivenDevice("phone-2", "b");

  EXPECT_EQ(Virmo({"device", "list", "-q"}).out, "phone-1\nphone-2\n");
}

TEST_F(ProgramTest, WhatADeviceIsNamedCannotReachTheTerminal) {
  GivenDevice("phone-1",
              "\x1b[2J\xC2\x9B"
              "evil\n");

  const Result result = Virmo({"device", "list"});

  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(result.out, HasSubstr("\\x1b[2J"));
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 2);
}

TEST_F(ProgramTest, EnrolWritesTheAccountForItsOwnerAlone) {
  const std::string path = PathOf("account");

  const Result result = Virmo({"device", "enrol", "phone-1", "--name", "Phone", "--notify",
                               "udp:10.0.0.7:2948", "--account-file", path});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(ReadAll(path), HasSubstr("client_secret"));
  EXPECT_THAT(result.out, Not(HasSubstr("s3cret")));
  struct stat info = {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(fleet_.last_enrolment().device().display_name(), "Phone");
  EXPECT_EQ(fleet_.last_enrolment().device().notification_address(), "udp:10.0.0.7:2948");
  EXPECT_NE(fleet_.last_enrolment().request_id(), "");
}

TEST_F(ProgramTest, EnrolLeavesAnExistingFileAndAsksNobody) {
  const std::string path = PathOf("account");
  WriteAll(path, "mine");

  const Result result = Virmo({"device", "enrol", "phone-1", "--account-file", path});

  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("--force"));
  EXPECT_EQ(ReadAll(path), "mine");
  EXPECT_EQ(fleet_.last_enrolment().device_id(), "");
}

TEST_F(ProgramTest, EnrolReplacesAFileByForce) {
  const std::string path = PathOf("account");
  WriteAll(path, "mine");

  const Result result = Virmo({"device", "enrol", "phone-1", "--account-file", path, "--force"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(ReadAll(path), HasSubstr("client_secret"));
}

TEST_F(ProgramTest, ARefusedEnrolmentLeavesNoFile) {
  fleet_.FailNext(v1::ErrorInfo::REASON_ALREADY_EXISTS, "device \"phone-1\" exists");

  const Result result = Virmo({"device", "enrol", "phone-1", "--account-file", PathOf("account")});

  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, StartsWith("virmo: cannot enrol device \"phone-1\": device \"phone-1\" "
                                     "exists (ALREADY_EXISTS)\n"));
  EXPECT_EQ(Bash("ls " + folder()).out, "server.sock\n");
}

TEST_F(ProgramTest, EnrolFailsBeforeAskingWhenTheFileCannotBeWritten) {
  const Result result =
      Virmo({"device", "enrol", "phone-1", "--account-file", PathOf("no/such/folder")});

  EXPECT_EQ(result.exit_code, 9);
  EXPECT_THAT(result.err, HasSubstr("No such file or directory"));
  EXPECT_EQ(fleet_.last_enrolment().device_id(), "");
}

TEST_F(ProgramTest, EnrolPrintsTheAccountOnRequest) {
  const Result result = Virmo({"device", "enrol", "phone-1", "--account-file", "-"});

  EXPECT_EQ(result.out, "server_id: \"virmo-server\"\nclient_secret: \"s3cret\"\n");
}

TEST_F(ProgramTest, AnUnknownDeviceIsNotFound) {
  const Result result = Virmo({"device", "show", "nobody"});

  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, StartsWith("virmo: cannot show device \"nobody\": "));
}

TEST_F(ProgramTest, UploadSendsEveryOctetAndPercentLines) {
  std::string octets(3 * 1024 * 1024 + 7, 'x');
  for (size_t i = 0; i < octets.size(); i += 1000) octets[i] = static_cast<char>(i / 1000);
  WriteAll(PathOf("Guest Image.qcow2"), octets);

  const Result result =
      Virmo({"image", "upload", PathOf("Guest Image.qcow2"), "--media-type", "qcow2"});

  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(images_.octets(), octets);
  EXPECT_EQ(images_.described().name(), "images/guest-image.qcow2");
  EXPECT_EQ(images_.described().media_type(), "application/x-qcow2");
  EXPECT_EQ(images_.described().size_bytes(), static_cast<int64_t>(octets.size()));
  EXPECT_THAT(result.err, HasSubstr("uploading 100 %  3.0 MiB of 3.0 MiB\n"));
  EXPECT_THAT(result.err, Not(HasSubstr("\r")));
}

TEST_F(ProgramTest, UploadDoesNotTrustAServerThatHasOtherOctets) {
  WriteAll(PathOf("a.img"), "octets");
  images_.damage = "00";

  const Result result = Virmo({"image", "upload", PathOf("a.img")});

  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("PACKAGE_INVALID"));
  EXPECT_THAT(result.err, HasSubstr("virmo image delete a.img"));
}

TEST_F(ProgramTest, UploadTellsWhyItWasRefusedAtOnce) {
  WriteAll(PathOf("a.img"), std::string(8 * 1024 * 1024, 'x'));
  images_.refusal = {grpc::StatusCode::ALREADY_EXISTS, "images/a.img has other octets"};

  const Result result = Virmo({"image", "upload", PathOf("a.img")});

  EXPECT_EQ(result.exit_code, 4);
  EXPECT_THAT(result.err, HasSubstr("images/a.img has other octets"));
}

TEST_F(ProgramTest, UploadOfNoFileIsNotFoundAndOfAFolderWrongUsage) {
  EXPECT_EQ(Virmo({"image", "upload", PathOf("none")}).exit_code, 3);
  EXPECT_EQ(Virmo({"image", "upload", folder()}).exit_code, 2);
}

TEST_F(ProgramTest, ImagesAreListedShownAndDeleted) {
  WriteAll(PathOf("a.img"), "octets");
  ASSERT_EQ(Virmo({"image", "upload", PathOf("a.img"), "-q"}).out, "a.img\n");

  EXPECT_EQ(json::parse(Virmo({"image", "show", "a.img", "-o", "json"}).out)["size_bytes"], "6");
  EXPECT_THAT(Virmo({"image", "list"}).out, HasSubstr("a.img"));
  EXPECT_EQ(Virmo({"image", "delete", "images/a.img"}).exit_code, 0);
  EXPECT_EQ(Virmo({"image", "show", "a.img"}).exit_code, 3);
}

TEST_F(ProgramTest, NobodyAtTheAddressIsToldShortlyWithWhatToDo) {
  StopServing();

  const Result result = Virmo({"device", "list"});

  EXPECT_EQ(result.exit_code, 5);
  EXPECT_THAT(result.err, StartsWith("virmo: cannot list devices: nobody answers at " + server()));
  EXPECT_THAT(result.err, HasSubstr("--server"));
}

TEST_F(ProgramTest, AnErrorIsOneJsonObjectWithJsonOutput) {
  fleet_.FailNext(v1::ErrorInfo::REASON_CALLER_NOT_ALLOWED, "user nobody may not");

  const Result result = Virmo({"device", "list", "-o", "json"});

  EXPECT_EQ(result.exit_code, 8);
  EXPECT_EQ(result.out, "");
  const json error = json::parse(result.err)["error"];
  EXPECT_EQ(error["code"], "PERMISSION_DENIED");
  EXPECT_EQ(error["reason"], "CALLER_NOT_ALLOWED");
  EXPECT_EQ(error["exit_code"], 8);
  EXPECT_EQ(error["message"], "cannot list devices: user nobody may not");
}

TEST_F(ProgramTest, WrongUsageExitsWithTwoAndSaysWhy) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"bogus"}, "there is no command `bogus`"},
      {{"vm"}, "`vm` needs one of: list, show"},
      {{"vm", "fly"}, "there is no command `vm fly`"},
      {{"vm", "start", "phone-1"}, "VM is required"},
      {{"device", "list", "-o", "xml"}, "xml"},
      {{"device", "list", "--timeout", "soon"}, "`soon` is no time"},
      {{"vm", "provision", "phone-1"}, "either --image or --url"},
      {{"vm", "provision", "phone-1", "--url", "http://a/b"}, "--sha256 and --type"},
      {{"vm", "provision", "phone-1", "--image", "a", "--memory", "-4"}, "no whole number"},
      {{"vm", "lock", "phone-1", "work", "--mode", "gently"}, "gently"},
      {{"--tls-cert", "a", "device", "list"}, "TLS needs all of"},
  };
  for (const auto& [words, text] : cases) {
    const Result result = Virmo(words);
    EXPECT_EQ(result.exit_code, 2) << text;
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(ProgramTest, HelpTellsExitCodesAndEveryCommandHasHelp) {
  EXPECT_THAT(Virmo({"--help"}).out, HasSubstr("6    timed out waiting"));
  EXPECT_THAT(Virmo({"vm", "lock", "--help"}).out, HasSubstr("isolate"));
  EXPECT_THAT(Virmo({"--version"}).out, StartsWith("virmo "));
}

}  // namespace
}  // namespace virmo::cli
