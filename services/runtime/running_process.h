// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <future>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/process.h"
#include "services/runtime/testing.h"
#include "virmo/v1/alert_service.grpc.pb.h"
#include "virmo/v1/process_service.grpc.pb.h"

// A Process within a test. Not for programs.
namespace virmo::testing {

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

inline absl::StatusOr<v1::Process> GetProcess(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  v1::Process process;
  const grpc::Status status =
      v1::ProcessService::NewStub(channel)->GetProcess(&context, {}, &process);
  if (!status.ok()) return FromGrpc(status);
  return process;
}

inline absl::StatusOr<std::string> AskWhoAmI(const std::shared_ptr<grpc::Channel>& channel) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  v1::StoredAlert answer;
  const grpc::Status status =
      v1::AlertService::NewStub(channel)->PublishAlert(&context, {}, &answer);
  if (!status.ok()) return FromGrpc(status);
  return answer.last_error();
}

inline std::shared_ptr<grpc::Channel> ChannelTo(const std::string& address) {
  config::v1::Endpoint endpoint;
  endpoint.set_address(address);
  return *MakeChannel(endpoint);
}

}  // namespace virmo::testing
