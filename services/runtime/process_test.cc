// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/process.h"

#include <grp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <future>
#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/impl/client_unary_call.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/sync_stream.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/child_process.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/testing.h"
#include "virmo/v1/alert_service.grpc.pb.h"
#include "virmo/v1/process_service.grpc.pb.h"

namespace virmo {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uid_t kNobody = 65534;
constexpr char kProcessService[] = "virmo.v1.ProcessService";

// Says who called.
class WhoAmI : public v1::AlertService::Service {
 public:
  grpc::Status PublishAlert(grpc::ServerContext* context, const v1::PublishAlertRequest*,
                            v1::StoredAlert* response) override {
    if (wait) {
      began.set_value();
      release.get_future().wait();
    }
    const Caller caller = process->CallerOf(*context);
    response->set_last_error(absl::StrCat(caller.uid, "|", caller.pid, "|", caller.name));
    return grpc::Status::OK;
  }
  Process* process = nullptr;
  bool wait = false;  // Answer only when released.
  std::promise<void> began;
  std::promise<void> release;
};

// A Process that serves on a thread of this test.
class Running {
 public:
  explicit Running(const config::v1::Listener& listener) {
    process_ = *Process::Create("test", listener);
    who_am_i_.process = process_.get();
    process_->Register(who_am_i_);
    thread_ = std::thread([this] { status_ = process_->Serve(); });
    EXPECT_TRUE(Eventually([&] { return !process_->address().empty(); }));
  }
  ~Running() { Stop().IgnoreError(); }

  absl::Status Stop() {
    process_->RequestStop();
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  WhoAmI& who_am_i() { return who_am_i_; }
  Process* operator->() { return process_.get(); }

 private:
  WhoAmI who_am_i_;
  std::unique_ptr<Process> process_;
  absl::Status status_;
  std::thread thread_;
};

absl::StatusOr<v1::Process> GetProcess(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  v1::Process process;
  const grpc::Status status =
      v1::ProcessService::NewStub(channel)->GetProcess(&context, {}, &process);
  if (!status.ok()) return FromGrpc(status);
  return process;
}

absl::StatusOr<std::string> AskWhoAmI(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  v1::StoredAlert answer;
  const grpc::Status status =
      v1::AlertService::NewStub(channel)->PublishAlert(&context, {}, &answer);
  if (!status.ok()) return FromGrpc(status);
  return answer.last_error();
}

grpc::ByteBuffer Octets(const std::string& octets) {
  const grpc::Slice slice(octets);
  return grpc::ByteBuffer(&slice, 1);
}

std::string Text(const grpc::ByteBuffer& buffer) {
  grpc::Slice slice;
  return buffer.DumpToSingleSlice(&slice).ok()
             ? std::string(reinterpret_cast<const char*>(slice.begin()), slice.size())
             : "";
}

// The status of `service` by the standard health service: 1 SERVING, 2 NOT_SERVING, -1 unknown.
// (Its proto is in no Debian package for C++, so these are its octets.)
int HealthOf(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const grpc::ByteBuffer request =
      Octets(absl::StrCat("\x0a", std::string(1, static_cast<char>(service.size())), service));
  grpc::ByteBuffer response;
  const grpc::Status status =
      grpc::internal::BlockingUnaryCall(channel.get(), method, &context, request, &response);
  const std::string octets = Text(response);
  return status.ok() && octets.size() == 2 ? octets[1] : -1;
}

// What server reflection lists, in its binary form.
std::string ReflectionList(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  const grpc::internal::RpcMethod method(
      "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
      grpc::internal::RpcMethod::BIDI_STREAMING);
  const std::unique_ptr<grpc::ClientReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>> stream(
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, grpc::ByteBuffer>::Create(
          channel.get(), method, &context));
  stream->Write(Octets(absl::StrCat("\x3a", std::string(1, '\0'))));
  stream->WritesDone();
  grpc::ByteBuffer response;
  const std::string list = stream->Read(&response) ? Text(response) : "";
  EXPECT_TRUE(stream->Finish().ok());
  return list;
}

std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  config::v1::Endpoint endpoint;
  endpoint.set_address(address);
  return *MakeChannel(endpoint);
}

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

TEST_F(UnixProcessTest, HealthFollowsDegradationForEveryService) {
  Running process(listener_);
  const auto channel = ChannelTo(address_);
  EXPECT_EQ(HealthOf(channel, ""), 1);
  EXPECT_EQ(HealthOf(channel, kProcessService), 1);
  EXPECT_EQ(HealthOf(channel, "virmo.v1.AlertService"), 1);
  EXPECT_EQ(HealthOf(channel, "virmo.v1.NoSuchService"), -1);

  process->SetDegraded("hypervisor", "not reachable");
  process->SetDegraded("alert-emitter", "not reachable");
  process->ClearDegraded("alert-emitter");
  EXPECT_EQ(HealthOf(channel, ""), 2);
  EXPECT_EQ(HealthOf(channel, "virmo.v1.AlertService"), 2);

  process->ClearDegraded("hypervisor");
  EXPECT_EQ(HealthOf(channel, ""), 1);
  EXPECT_EQ(HealthOf(channel, "virmo.v1.AlertService"), 1);
}

TEST_F(UnixProcessTest, WatchersOfHealthHearOfEachChangeAndOfTheEnd) {
  Running process(listener_);
  const auto channel = ChannelTo(address_);
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Watch",
                                         grpc::internal::RpcMethod::SERVER_STREAMING);
  const std::unique_ptr<grpc::ClientReader<grpc::ByteBuffer>> reader(
      grpc::internal::ClientReaderFactory<grpc::ByteBuffer>::Create(channel.get(), method, &context,
                                                                    Octets("")));
  const auto next = [&] {
    grpc::ByteBuffer response;
    return reader->Read(&response) ? static_cast<int>(Text(response).at(1)) : -1;
  };

  EXPECT_EQ(next(), 1);
  process->SetDegraded("hypervisor", "not reachable");
  EXPECT_EQ(next(), 2);
  process->ClearDegraded("hypervisor");
  EXPECT_EQ(next(), 1);
  process->RequestStop();
  EXPECT_EQ(next(), 2);
  EXPECT_EQ(next(), -1);
}

TEST_F(UnixProcessTest, HealthRefusesWhatIsNoRequest) {
  Running process(listener_);
  const auto channel = ChannelTo(address_);
  for (const char* octets : {"\x0a\x05x", "\xff", "\x0b", "\x0a\xff\xff\xff\xff\xff"}) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Check",
                                           grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ByteBuffer response;
    EXPECT_EQ(grpc::internal::BlockingUnaryCall(channel.get(), method, &context, Octets(octets),
                                                &response)
                  .error_code(),
              grpc::StatusCode::INVALID_ARGUMENT);
  }
}

TEST_F(UnixProcessTest, ADegradationFromBeforeServingShows) {
  const auto process = *Process::Create("test", listener_);
  process->SetDegraded("database", "was damaged");
  std::thread server([&] { EXPECT_TRUE(process->Serve().ok()); });
  ASSERT_TRUE(Eventually([&] { return !process->address().empty(); }));

  EXPECT_EQ(HealthOf(ChannelTo(address_), ""), 2);

  process->RequestStop();
  server.join();
}

TEST_F(UnixProcessTest, ReflectionListsTheServices) {
  Running process(listener_);

  const std::string list = ReflectionList(ChannelTo(address_));

  EXPECT_THAT(list, HasSubstr(kProcessService));
  EXPECT_THAT(list, HasSubstr("virmo.v1.AlertService"));
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
