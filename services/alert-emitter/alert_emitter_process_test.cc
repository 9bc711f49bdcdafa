// SPDX-License-Identifier: Apache-2.0
// The real process, killed and started again.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/alert_service.grpc.pb.h"
#include "virmo/v1/process_service.grpc.pb.h"

namespace virmo::alert_emitter {
namespace {

class AlertEmitterProcessTest : public testing::Test {
 protected:
  // Short: the address of a unix socket has at most 107 characters.
  AlertEmitterProcessTest() : folder_(absl::StrCat("/tmp/ae-", NewUuid().substr(0, 13))) {
    std::filesystem::create_directories(folder_);
    std::ofstream(folder_ + "/config.textproto")
        << "listener { address: 'unix:" << folder_ << "/s' }\nstate_directory: '" << folder_
        << "/state'\nlogging { level: 'warn' }\n";
  }
  ~AlertEmitterProcessTest() override {
    Kill(SIGKILL);
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    const std::string config = folder_ + "/config.textproto";
    pid_ = vfork();  // Not fork: gRPC's threads do not survive its fork handlers.
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      execl(ALERT_EMITTER, ALERT_EMITTER, "--config", config.c_str(), nullptr);
      _exit(127);
    }
    config::v1::Endpoint endpoint;
    endpoint.set_address("unix:" + folder_ + "/s");
    auto channel = MakeChannel(endpoint);
    ASSERT_TRUE(channel.ok()) << channel.status();
    channel_ = *channel;
    stub_ = v1::AlertService::NewStub(channel_);
  }

  int Kill(int signal) {
    if (pid_ <= 0) return 0;
    kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }

  absl::StatusOr<v1::StoredAlert> Publish(const v1::Alert& alert) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20), true);
    v1::PublishAlertRequest request;
    *request.mutable_alert() = alert;
    v1::StoredAlert stored;
    const absl::Status status = FromGrpc(stub_->PublishAlert(&context, request, &stored));
    if (!status.ok()) return status;
    return stored;
  }

  v1::ListAlertsResponse List() {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20), true);
    v1::ListAlertsRequest request;
    request.set_page_size(1000);
    v1::ListAlertsResponse response;
    const grpc::Status status = stub_->ListAlerts(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  std::vector<std::string> Degradations() {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20), true);
    v1::Process process;
    EXPECT_TRUE(v1::ProcessService::NewStub(channel_)->GetProcess(&context, {}, &process).ok());
    return {process.degradations().begin(), process.degradations().end()};
  }

  static v1::Alert MakeAlert() {
    v1::Alert alert;
    alert.set_alert_id(NewUuid());
    alert.set_source("vm-controller");
    alert.set_event("Start");
    return alert;
  }

  const std::string folder_;
  pid_t pid_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::AlertService::Stub> stub_;
};

TEST_F(AlertEmitterProcessTest, LosesNoAcceptedAlertWhenKilledAfterEachOne) {
  std::vector<std::string> accepted;
  for (int i = 0; i < 25; ++i) {
    Start();
    const v1::Alert alert = MakeAlert();
    const auto stored = Publish(alert);
    ASSERT_TRUE(stored.ok()) << stored.status();
    Kill(SIGKILL);
    accepted.push_back(alert.alert_id());
  }
  Start();

  std::vector<std::string> found;
  const v1::ListAlertsResponse list = List();
  for (const v1::StoredAlert& stored : list.alerts()) {
    found.push_back(stored.alert().alert_id());
    EXPECT_EQ(stored.alert().sequence(), static_cast<int64_t>(found.size()));
  }
  EXPECT_EQ(found, accepted);
}

TEST_F(AlertEmitterProcessTest, StoresAnAlertOnceWhenItsPublishIsRepeatedAfterACrash) {
  Start();
  const v1::Alert alert = MakeAlert();
  ASSERT_TRUE(Publish(alert).ok());
  Kill(SIGKILL);
  Start();

  const auto repeated = Publish(alert);

  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_EQ(repeated->alert().sequence(), 1);
  EXPECT_EQ(List().alerts_size(), 1);
}

TEST_F(AlertEmitterProcessTest, SetsADamagedDatabaseAsideAndSaysSo) {
  Start();
  ASSERT_TRUE(Publish(MakeAlert()).ok());
  EXPECT_TRUE(Degradations().empty());
  Kill(SIGTERM);
  std::ofstream(folder_ + "/state/alerts.db") << std::string(8192, 'x');
  Start();

  const auto stored = Publish(MakeAlert());

  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_GT(stored->alert().sequence(), 1'000'000'000'000);  // Above all that was given before.
  EXPECT_THAT(Degradations(), testing::ElementsAre(testing::HasSubstr("damaged")));
}

TEST_F(AlertEmitterProcessTest, EndsWithZeroOnSigtermWhileSomebodyWatches) {
  Start();
  ASSERT_TRUE(Publish(MakeAlert()).ok());
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  const auto reader = stub_->WatchAlerts(&context, {});
  v1::WatchAlertsResponse message;
  ASSERT_TRUE(reader->Read(&message));

  const int status = Kill(SIGTERM);

  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace virmo::alert_emitter
