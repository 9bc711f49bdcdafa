// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/process.h"

#include <grp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/child_process.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/running_process.h"
#include "services/runtime/testing.h"
#include "virmo/v1/process_service.grpc.pb.h"

namespace virmo {
namespace {

using testing::AskWhoAmI;
using testing::ChannelTo;
using ::testing::ElementsAre;
using testing::Eventually;
using testing::GetProcess;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Running;

constexpr uid_t kNobody = 65534;

class UnixProcessTest : public ::testing::Test {
 protected:
  UnixProcessTest() { listener_.set_address(address_); }

  // What a child of user `uid` sees when it connects: 'a' accepted, 'r' refused, 'e' no entry.
  char ConnectAs(uid_t uid) {
    int pipes[2];
    if (pipe(pipes) != 0) return '?';
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof(address.sun_path) - 1);
    const pid_t child = fork();
    if (child == 0) {  // System calls only: this process has threads.
      char result = 'e';
      const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
      const gid_t group = uid;
      if (setgroups(1, &group) == 0 && setgid(group) == 0 && setuid(uid) == 0 &&
          connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
        // A server that lets us in sends its settings; one that does not closes.
        char octet = 0;
        result = read(fd, &octet, 1) == 1 ? 'a' : 'r';
      }
      _exit(write(pipes[1], &result, 1) == 1 ? 0 : 1);
    }
    char result = '?';
    if (read(pipes[0], &result, 1) != 1) result = '?';
    waitpid(child, nullptr, 0);
    close(pipes[0]);
    close(pipes[1]);
    return result;
  }

  testing::TempDir dir_;
  const std::string path_ = dir_ / "run/test.sock";
  const std::string address_ = "unix:" + path_;
  config::v1::Listener listener_;
};

TEST_F(UnixProcessTest, TellsWhatItIsAndHowItDoes) {
  Running process(listener_);
  const auto channel = ChannelTo(address_);

  const auto before = GetProcess(channel);
  process->SetDegraded("policy-engine", "not reachable");
  const auto degraded = GetProcess(channel);
  process->ClearDegraded("policy-engine");
  const auto after = GetProcess(channel);

  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->process(), "test");
  EXPECT_THAT(before->version(), ::testing::MatchesRegex("[0-9.]+"));
  EXPECT_TRUE(before->has_start_time());
  EXPECT_THAT(before->degradations(), IsEmpty());
  EXPECT_THAT(degraded->degradations(), ElementsAre("policy-engine: not reachable"));
  EXPECT_THAT(after->degradations(), IsEmpty());
}

TEST_F(UnixProcessTest, LogLevelsAreSetAndUnknownOnesRefused) {
  Running process(listener_);
  const auto stub = v1::ProcessService::NewStub(ChannelTo(address_));
  const auto set = [&](const std::string& level, v1::Process* answer) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    v1::SetLogLevelRequest request;
    request.set_level(level);
    return stub->SetLogLevel(&context, request, answer);
  };
  v1::Process answer;

  EXPECT_TRUE(set("warn", &answer).ok());
  EXPECT_EQ(answer.log_level(), "warn");
  EXPECT_EQ(ErrorInfoOf(FromGrpc(set("loud", &answer))).field(), "level");
  EXPECT_TRUE(set("info", &answer).ok());
}

TEST_F(UnixProcessTest, TheHandlerKnowsWhoCalls) {
  Running process(listener_);

  const auto answer = AskWhoAmI(ChannelTo(address_));

  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(absl::StartsWith(*answer, absl::StrCat(geteuid(), "|", getpid(), "|"))) << *answer;
  if (geteuid() == 0) {
    EXPECT_TRUE(absl::EndsWith(*answer, "|root")) << *answer;
  }
}

TEST_F(UnixProcessTest, ManyConnectionsComeAndGoAndEachIsKnown) {
  Running process(listener_);

  for (int i = 0; i < 50; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection of its own.
    const auto answer = AskWhoAmI(
        grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_TRUE(absl::StartsWith(*answer, absl::StrCat(geteuid(), "|", getpid(), "|"))) << *answer;
  }
}

TEST_F(UnixProcessTest, TheSocketIsOnlyForOwnerAndGroupAndItsFolderForAll) {
  Running process(listener_);

  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660U);
  ASSERT_EQ(stat((dir_ / "run").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0755U);
}

TEST_F(UnixProcessTest, AUserWhoIsNotAllowedGetsNoEntry) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  chmod(dir_.path().c_str(), 0755);
  Running process(listener_);

  EXPECT_EQ(ConnectAs(kNobody), 'e');
  EXPECT_EQ(ConnectAs(0), 'a');
}

TEST_F(UnixProcessTest, PeerCredentialsDecideWhereTheSocketIsOpenToOthers) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  chmod(dir_.path().c_str(), 0755);
  listener_.add_allowed_users("root");
  listener_.add_allowed_users("daemon");  // By name;
  listener_.add_allowed_users("2");       // by number.
  Running process(listener_);

  EXPECT_EQ(ConnectAs(kNobody), 'r');
  EXPECT_EQ(ConnectAs(1), 'a');
  EXPECT_EQ(ConnectAs(2), 'a');
  EXPECT_EQ(ConnectAs(0), 'a');
}

TEST_F(UnixProcessTest, RootIsRefusedWhereItIsNotListed) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  listener_.add_allowed_users("daemon");
  Running process(listener_);

  EXPECT_EQ(ConnectAs(0), 'r');
}

TEST_F(UnixProcessTest, AStarAdmitsEverybody) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  chmod(dir_.path().c_str(), 0755);
  listener_.add_allowed_users("*");
  Running process(listener_);

  EXPECT_EQ(ConnectAs(kNobody), 'a');
}

TEST_F(UnixProcessTest, AnUnknownUserInTheListIsAnError) {
  listener_.add_allowed_users("no-such-user");
  const auto process = *Process::Create("test", listener_);

  const absl::Status status = process->Serve();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no-such-user"));
}

TEST_F(UnixProcessTest, ASecondProcessOnTheSameSocketIsRefusedAndTheFirstServesOn) {
  Running first(listener_);
  const auto second = *Process::Create("second", listener_);

  const absl::Status status = second->Serve();

  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
  EXPECT_EQ(GetProcess(ChannelTo(address_))->process(), "test");
}

TEST_F(UnixProcessTest, ASocketThatADeadProcessLeftIsReplaced) {
  std::string config = absl::StrCat("listener { address: \"", address_, "\" }");
  ASSERT_TRUE(WriteFileAtomically(dir_ / "config", config, 0600).ok());
  testing::ChildProcess child({VIRMO_TEST_PROCESS, "--config", dir_ / "config"}, dir_ / "output");
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(child.Output(), "ready address="); }));
  child.Signal(SIGKILL);
  ASSERT_EQ(child.Wait(), 128 + SIGKILL);
  ASSERT_EQ(access(path_.c_str(), F_OK), 0);

  Running process(listener_);

  EXPECT_TRUE(GetProcess(ChannelTo(address_)).ok());
}

TEST_F(UnixProcessTest, AFileThatIsNoSocketIsNotReplaced) {
  ASSERT_TRUE(MakeDirectory(dir_ / "run", 0755).ok());
  ASSERT_TRUE(WriteFileAtomically(path_, "precious", 0600).ok());
  const auto process = *Process::Create("test", listener_);

  EXPECT_EQ(process->Serve().code(), absl::StatusCode::kInvalidArgument);

  EXPECT_EQ(*ReadFile(path_), "precious");
}

TEST_F(UnixProcessTest, SigtermEndsItGracefully) {
  std::string config = absl::StrCat("listener { address: \"", address_, "\" }");
  ASSERT_TRUE(WriteFileAtomically(dir_ / "config", config, 0600).ok());
  for (const int signal : {SIGTERM, SIGINT}) {
    testing::ChildProcess child({VIRMO_TEST_PROCESS, "--config", dir_ / "config"},
                                absl::StrCat(dir_.path(), "/output-", signal));
    const auto channel = ChannelTo(address_);
    ASSERT_TRUE(Eventually([&] { return GetProcess(channel).ok(); }));

    child.Signal(signal);

    EXPECT_EQ(child.Wait(), 0);
    EXPECT_THAT(child.Output(), HasSubstr(absl::StrCat("ending signal=", signal)));
    EXPECT_NE(access(path_.c_str(), F_OK), 0);
  }
}

TEST_F(UnixProcessTest, ARunningCallIsAnsweredBeforeItEnds) {
  Running process(listener_);
  process->OnShutdown([&] { process.who_am_i().release.set_value(); });
  process.who_am_i().wait = true;
  absl::StatusOr<std::string> answer;
  std::thread caller([&] { answer = AskWhoAmI(ChannelTo(address_)); });
  process.who_am_i().began.get_future().wait();

  EXPECT_TRUE(process.Stop().ok());

  caller.join();
  EXPECT_TRUE(answer.ok()) << answer.status();
}

TEST_F(UnixProcessTest, ShutdownCallsTheHooksAndThenTheAddressIsFree) {
  bool called = false;
  {
    Running process(listener_);
    process->OnShutdown([&] { called = true; });
    EXPECT_TRUE(process.Stop().ok());
  }
  EXPECT_TRUE(called);

  Running again(listener_);

  EXPECT_TRUE(GetProcess(ChannelTo(address_)).ok());
}

TEST_F(UnixProcessTest, AClientFindsAProcessThatCameBack) {
  const auto channel = ChannelTo(address_);
  std::optional<Running> process(std::in_place, listener_);
  ASSERT_TRUE(GetProcess(channel).ok());
  process.reset();
  ASSERT_EQ(GetProcess(channel).status().code(), absl::StatusCode::kUnavailable);

  process.emplace(listener_);

  EXPECT_TRUE(Eventually([&] { return GetProcess(channel).ok(); }));
}

TEST(TcpProcessTest, LoopbackWithoutTlsMustBeAskedFor) {
  config::v1::Listener listener;
  listener.set_address("127.0.0.1:0");
  EXPECT_EQ(Process::Create("test", listener).status().code(), absl::StatusCode::kInvalidArgument);
  listener.set_insecure_loopback(true);
  Running process(listener);

  EXPECT_TRUE(GetProcess(ChannelTo(process->address())).ok());
  EXPECT_EQ(*AskWhoAmI(ChannelTo(process->address())), "-1|-1|");
}

TEST(TcpProcessTest, OtherAddressesNeedTls) {
  config::v1::Listener listener;
  listener.set_insecure_loopback(true);
  for (const char* address : {"0.0.0.0:0", "[::]:0", "192.0.2.1:1", "127.example.com:1", ":1",
                              "nonsense", "unix:relative", ""}) {
    listener.set_address(address);
    EXPECT_EQ(Process::Create("test", listener).status().code(), absl::StatusCode::kInvalidArgument)
        << address;
    config::v1::Endpoint endpoint;
    endpoint.set_address(address);
    EXPECT_EQ(MakeChannel(endpoint).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
}

TEST(TcpProcessTest, ASecondProcessOnTheSamePortIsRefused) {
  config::v1::Listener listener;
  listener.set_address("127.0.0.1:0");
  listener.set_insecure_loopback(true);
  Running first(listener);
  listener.set_address(first->address());

  const auto second = *Process::Create("second", listener);

  EXPECT_EQ(second->Serve().code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace virmo
