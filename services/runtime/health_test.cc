// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/impl/client_unary_call.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/sync_stream.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/process.h"
#include "services/runtime/running_process.h"
#include "services/runtime/testing.h"

namespace virmo {
namespace {

using testing::ChannelTo;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::Running;

constexpr char kProcessService[] = "virmo.v1.ProcessService";

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

class HealthTest : public ::testing::Test {
 protected:
  HealthTest() { listener_.set_address(address_); }

  testing::TempDir dir_;
  const std::string address_ = "unix:" + dir_ / "test.sock";
  config::v1::Listener listener_;
};

TEST_F(HealthTest, HealthFollowsDegradationForEveryService) {
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

TEST_F(HealthTest, WatchersOfHealthHearOfEachChangeAndOfTheEnd) {
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

TEST_F(HealthTest, HealthRefusesWhatIsNoRequest) {
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

TEST_F(HealthTest, ADegradationFromBeforeServingShows) {
  const auto process = *Process::Create("test", listener_);
  process->SetDegraded("database", "was damaged");
  std::thread server([&] { EXPECT_TRUE(process->Serve().ok()); });
  ASSERT_TRUE(Eventually([&] { return !process->address().empty(); }));

  EXPECT_EQ(HealthOf(ChannelTo(address_), ""), 2);

  process->RequestStop();
  server.join();
}

TEST_F(HealthTest, ReflectionListsTheServices) {
  Running process(listener_);

  const std::string list = ReflectionList(ChannelTo(address_));

  EXPECT_THAT(list, HasSubstr(kProcessService));
  EXPECT_THAT(list, HasSubstr("virmo.v1.AlertService"));
}

}  // namespace
}  // namespace virmo
